#!/usr/bin/env python3
"""history_trace.py - traces of what requests needed, for `history.py`: recorded, or made.

A trace is text: `route NAME CAP` lines, then `START_US TAKES_US ROUTE BYTES` lines, by start: when a
request began, how long it held its memory, the index of its route, and the bytes it asked of its arena.

`record` makes one from weft's own access log (log.access: json): route is the path with its numbers
taken out. `make` makes one that is the same on every machine: a fixed seed, and sizes drawn from
distributions that were recorded once: sizes of files that people wrote for others to read, on a Debian
12 system (QUANTILES). Arrivals are a Poisson process; what a request takes is exponential, one in
twenty a slow client. What is made up is which route uses which, how often, and how they shift.

usage: history_trace.py make api|site|shifting > trace
       history_trace.py record < access.log > trace
"""
import bisect
import json
import random
import re
import sys

SHARES = [i * 0.05 for i in range(20)] + [0.99, 0.999]
QUANTILES = {  # bytes at 0, 5, 10 ... 95 %, then 99 and 99.9 %
    # 7,330 C headers below /usr/include
    "headers": (0, 639, 1024, 1227, 1515, 1864, 2271, 2815, 3449, 3982, 4986, 6175, 7862, 9777, 12452,
                16066, 21638, 27856, 37534, 57530, 109792, 240888),
    # 1,585 Python sources below /usr/lib/python3
    "sources": (0, 265, 692, 1121, 1597, 1971, 2556, 3092, 3667, 4338, 5010, 5874, 7194, 8979, 10787,
                13402, 16623, 22775, 30391, 45686, 108956, 213310),
    # 23,850 manual pages below /usr/share/man, compressed
    "manuals": (20, 495, 582, 674, 791, 904, 988, 1057, 1122, 1193, 1272, 1361, 1458, 1551, 1651, 1803,
                2125, 2541, 3225, 5110, 13294, 38839),
    # 1,249 time zones below /usr/share/zoneinfo
    "zones": (114, 148, 182, 246, 419, 664, 698, 736, 802, 983, 1136, 1271, 1610, 1782, 2028, 2198,
              2358, 2460, 2642, 3424, 3862, 17597),
    # 735 copyright files below /usr/share/doc
    "licences": (164, 975, 1166, 1354, 1639, 1851, 2193, 2624, 3212, 3706, 4283, 5389, 6668, 7668,
                 10165, 12709, 14241, 20973, 25069, 47102, 109772, 110000),
}
REQUESTS = {"api": 300000, "site": 300000, "shifting": 600000}
RATE = 20000.0   # requests per second
QUICK_S = 0.004  # mean time that a request takes
SLOW_S = 0.25    # the same with a slow client
SLOW = 0.05


class One:
    """A draw from a recorded distribution, times something; between two quantiles in proportion."""

    def __init__(self, name, times=1.0, plus=0):
        self.values, self.times, self.plus = QUANTILES[name], times, plus

    def draw(self, rng):
        u = rng.random() * SHARES[-1]
        i = min(bisect.bisect_right(SHARES, u) - 1, len(SHARES) - 2)
        part = (u - SHARES[i]) / (SHARES[i + 1] - SHARES[i])
        value = self.values[i] + part * (self.values[i + 1] - self.values[i])
        return int(self.plus + self.times * value)


class Page:
    """A list of so many such items, the last page of a list being shorter, in a frame."""

    def __init__(self, item, items, plus=1500):
        self.item, self.items, self.plus = item, items, plus

    def draw(self, rng):
        items = self.items if rng.random() > 0.1 else rng.randrange(self.items)
        return self.plus + sum(self.item.draw(rng) for _ in range(items))


class Always:
    def __init__(self, value):
        self.value = value

    def draw(self, _rng):
        return self.value


class Mixed:
    """Now and then the other one."""

    def __init__(self, usual, other, share):
        self.usual, self.other, self.share = usual, other, share

    def draw(self, rng):
        return (self.other if rng.random() < self.share else self.usual).draw(rng)


# (route, cap, weight, sizes at a share of the way through the trace)
SITE = (
    ("GET /health", 65536, 15, lambda at: Always(0)),
    ("GET /zone/#", 65536, 20, lambda at: One("zones")),
    ("GET /manual/#", 65536, 15, lambda at: One("manuals")),
    ("GET /zones", 65536, 15, lambda at: Page(One("zones"), 20)),
    ("GET /manuals", 262144, 10, lambda at: Page(One("manuals"), 20)),
    ("GET /source/#", 262144, 10, lambda at: One("sources")),
    ("POST /licence", 131072, 6, lambda at: One("licences")),
    ("GET /search", 524288, 6, lambda at: Mixed(Page(One("zones", 0.3), 10),
                                                Page(One("headers", 1.0), 10), 0.1)),
    ("GET /report", 1048576, 3, lambda at: Page(One("headers", 0.5), 25)),
)


API = (  # answers of JSON endpoints: an object, or a list of so many in an envelope
    ("GET /api/ping", 65536, 10, lambda at: Always(0)),
    ("GET /api/item/#", 65536, 25, lambda at: One("zones", 0.5, 300)),
    ("GET /api/items", 65536, 15, lambda at: Page(One("zones", 0.5), 20, 400)),
    ("GET /api/feed", 131072, 12, lambda at: Page(One("manuals", 0.7), 30, 400)),
    ("POST /api/item", 65536, 12, lambda at: One("zones", 1.0, 500)),
    ("GET /api/user/#", 65536, 12, lambda at: Always(720)),
    ("GET /api/thread/#", 524288, 8, lambda at: Page(One("licences", 0.3), 25, 400)),
    ("GET /api/export", 1048576, 2, lambda at: Page(One("sources", 0.5), 60, 2000)),
    ("PUT /api/document/#", 262144, 4, lambda at: One("sources")),
)


def step(before, after):
    return lambda at: before if at < 0.6 else after


SHIFTING = (
    ("GET /feed", 1048576, 25, step(Page(One("zones"), 5), Page(One("zones"), 25))),  # longer pages
    ("GET /manuals", 262144, 25, step(Page(One("manuals"), 20), Page(One("manuals", 0.2), 20))),
    ("GET /inbox", 1048576, 20,  # grows week by week
     lambda at: Page(One("zones", 1.0 + 3.0 * min(max((at - 0.3) / 0.4, 0.0), 1.0)), 8)),
    ("POST /import", 1048576, 10, step(Mixed(One("zones"), Page(One("manuals"), 40), 0.02),
                                       Mixed(One("zones"), Page(One("manuals"), 40), 0.6))),
    ("GET /zone/#", 65536, 20, lambda at: One("zones")),
)
TRACES = {"api": API, "site": SITE, "shifting": SHIFTING}


def make(name, out):
    routes, rng, now, requests = TRACES[name], random.Random(4), 0.0, REQUESTS[name]
    for route, cap, _, _ in routes:
        out.write(f"route {route.replace(' ', '_')} {cap}\n")
    weights = [route[2] for route in routes]
    for i, index in enumerate(rng.choices(range(len(routes)), weights, k=requests)):
        now += rng.expovariate(RATE)
        takes = rng.expovariate(1 / (SLOW_S if rng.random() < SLOW else QUICK_S))
        bytes_ = min(routes[index][3](i / requests).draw(rng), routes[index][1] * 3 // 4)
        out.write(f"{int(now * 1e6)} {int(takes * 1e6)} {index} {bytes_}\n")


def record(lines, out, rate=None):
    """The log says when a request ended only to the second: starts are spread by `rate`, in the log's
    order, at as many per second as there were."""
    rows = [json.loads(line) for line in lines if line.startswith("{")]
    names, found = {}, []
    for row in rows:
        path = re.sub(r"\d+", "#", row["target"].split("?")[0])
        name = f"{row['method']}_{path}"
        found.append((names.setdefault(name, len(names)), row["us"], row["arena"]))
    seconds = max(len({row["time"] for row in rows}), 1)
    rate = rate or len(rows) / seconds
    most = [1] * len(names)
    for route, _, bytes_ in found:
        most[route] = max(most[route], bytes_)
    for name, index in names.items():
        cap = 65536  # the demo's default, or what it must have been
        while cap < most[index]:
            cap *= 4
        out.write(f"route {name} {cap}\n")
    for i, (route, us, bytes_) in enumerate(found):
        out.write(f"{int(i / rate * 1e6)} {us} {route} {bytes_}\n")


def main():
    if sys.argv[1:2] == ["record"]:
        record(sys.stdin, sys.stdout)
    elif sys.argv[1:2] == ["make"] and sys.argv[2:3] and sys.argv[2] in TRACES:
        make(sys.argv[2], sys.stdout)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
