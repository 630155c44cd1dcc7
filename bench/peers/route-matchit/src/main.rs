//! What bench/route.c does in its mode "match", with matchit: the same files, the same JSON.
//!
//! matchit knows no methods. As in the frameworks built on it, a path's value is a table from method
//! to route.

use std::hint::black_box;
use std::time::Instant;

const METHODS: [&str; 5] = ["GET", "PUT", "POST", "PATCH", "DELETE"];
const ROOT_LOOKUPS: u32 = 100_000;

type Table = [u32; METHODS.len()]; // line of the routes' file, from 1; 0: none

fn lines(text: &str) -> Vec<(usize, &str)> {
    text.lines()
        .map(|line| {
            let (method, path) = line.split_once(' ').expect("a line is METHOD PATH");
            (METHODS.iter().position(|m| *m == method).expect(method), path)
        })
        .collect()
}

fn router_of(routes: &[(usize, &str)]) -> matchit::Router<Table> {
    let mut router = matchit::Router::new();
    let mut paths: Vec<(&str, Table)> = Vec::new();
    for (i, (method, path)) in routes.iter().enumerate() {
        if !paths.iter().any(|(known, _)| known == path) {
            paths.push((path, Table::default()));
        }
        let found = paths.iter_mut().find(|(known, _)| known == path).unwrap();
        found.1[*method] = i as u32 + 1;
    }
    for (path, table) in paths {
        router.insert(path, table).expect(path);
    }
    router
}

/// A sum over what was found: as in route.c, so that both are known to find the same.
#[inline(never)]
fn pass(router: &matchit::Router<Table>, lookups: &[(usize, &str)], all: bool) -> u64 {
    let mut sum = 0u64;
    for (method, path) in lookups {
        let found = router.at(path).expect(path);
        sum += found.value[*method] as u64 + found.params.len() as u64;
        if all {
            sum += found.params.iter().map(|(_, value)| value.len() as u64).sum::<u64>();
        }
    }
    sum
}

fn ns_each(count: usize, run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_nanos() as f64 / count as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, routes, lookups, passes] = args.as_slice() else {
        eprintln!("usage: route-matchit ROUTES LOOKUPS PASSES");
        std::process::exit(2);
    };
    let routes = std::fs::read_to_string(routes).expect("routes");
    let lookups = std::fs::read_to_string(lookups).expect("lookups");
    let passes: usize = passes.parse().expect("passes");
    let router = router_of(&lines(&routes));
    let lookups = lines(&lookups);

    let sum = pass(&router, &lookups, true);
    let fast = pass(&router, &lookups, false);
    let random = (0..passes)
        .map(|_| ns_each(lookups.len(), || assert_eq!(pass(&router, black_box(&lookups), false), fast)))
        .collect();
    let root = (0..passes)
        .map(|_| {
            ns_each(ROOT_LOOKUPS as usize, || {
                for _ in 0..ROOT_LOOKUPS {
                    black_box(router.at(black_box("/")).expect("/").value[black_box(0)]);
                }
            })
        })
        .collect();
    println!(
        "{{\"random_ns\": {:.2}, \"root_ns\": {:.2}, \"sum\": {}}}",
        median(random),
        median(root),
        sum
    );
}
