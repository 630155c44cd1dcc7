/* redis_command_test.c - the bytes of commands, and where a server is. */
#include "serve/cache/redis_address.h"
#include "serve/cache/redis_command.h"
#include <netinet/in.h>
#include <sys/un.h>
#include "base/str.h"
#include "unit.h"

static void is(const struct weft_redis_command *command, const char *expected)
{
    char all[4096];
    size_t len = 0;
    for (uint32_t i = 0; i < command->piece_count; i++) {
        memcpy(all + len, command->pieces[i].iov_base, command->pieces[i].iov_len);
        len += command->pieces[i].iov_len;
    }
    assert_int_equal(len, strlen(expected));
    assert_memory_equal(all, expected, len);
}

static void commands(void **state)
{
    (void)state;
    struct weft_redis_command command;
    weft_redis_get(&command, WEFT_S("demo"), WEFT_S("a\r\nb"));
    is(&command, "*2\r\n$3\r\nGET\r\n$14\r\nweft:demo:a\r\nb\r\n");
    weft_redis_del(&command, WEFT_S("d"), WEFT_S("k"));
    is(&command, "*2\r\n$3\r\nDEL\r\n$8\r\nweft:d:k\r\n");
    weft_redis_set(&command, WEFT_S("d"), WEFT_S("k"), WEFT_S("value"), 1500);
    is(&command, "*5\r\n$3\r\nSET\r\n$8\r\nweft:d:k\r\n$5\r\nvalue\r\n$2\r\nPX\r\n$4\r\n1500\r\n");
    weft_redis_set(&command, WEFT_S("d"), WEFT_S("k"), WEFT_S(""), UINT64_MAX);
    is(&command, "*3\r\n$3\r\nSET\r\n$8\r\nweft:d:k\r\n$0\r\n\r\n");
}

static void the_longest_space(void **state)
{
    (void)state;
    struct weft_redis_command command;
    char space[WEFT_REDIS_SPACE_BYTES_MAX];
    memset(space, 's', sizeof(space));
    weft_redis_set(&command, weft_str_make(space, sizeof(space)), WEFT_S("k"), WEFT_S("v"),
                   UINT64_C(3153600000000));
    assert_int_equal(command.piece_count, 5);
    assert_true(command.len <= sizeof(command.text));
}

static void hellos(void **state)
{
    (void)state;
    char text[WEFT_REDIS_HELLO_BYTES], password[WEFT_REDIS_PASSWORD_BYTES_MAX];
    weft_str out[WEFT_REDIS_HELLOS];
    weft_redis_hello(text, WEFT_S(""), 0, out);
    assert_int_equal(out[0].len + out[1].len, 0);
    weft_redis_hello(text, WEFT_S("secret"), 12, out);
    assert_true(weft_str_eq(out[0], WEFT_S("*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n")));
    assert_true(weft_str_eq(out[1], WEFT_S("*2\r\n$6\r\nSELECT\r\n$2\r\n12\r\n")));
    memset(password, 'p', sizeof(password));
    weft_redis_hello(text, weft_str_make(password, sizeof(password)), UINT32_MAX, out);
    assert_true(out[0].len + out[1].len <= sizeof(text));
}

static void read_as(const char *text_z, int family, const char *host_z, uint16_t port)
{
    struct weft_redis_address address;
    assert_int_equal(weft_redis_address_read(weft_str_z(text_z), &address), 0);
    assert_int_equal(address.socket_count, family != AF_UNSPEC);
    assert_int_equal(address.sockets[0].to.ss_family, family);
    assert_string_equal(address.host_z, host_z);
    if (family == AF_INET)
        assert_int_equal(ntohs(((struct sockaddr_in *)(void *)&address.sockets[0].to)->sin_port),
                         port);
    if (family == AF_INET6)
        assert_int_equal(ntohs(((struct sockaddr_in6 *)(void *)&address.sockets[0].to)->sin6_port),
                         port);
}

static void addresses(void **state)
{
    (void)state;
    read_as("127.0.0.1:7000", AF_INET, "", 7000);
    read_as("127.0.0.1", AF_INET, "", 6379);
    read_as("[::1]:7000", AF_INET6, "", 7000);
    read_as("[::1]", AF_INET6, "", 6379);
    read_as("cache.example:1", AF_UNSPEC, "cache.example", 1);
    read_as("unix:/run/redis.sock", AF_UNIX, "", 0);
    static const char *const wrong[] = {"",      ":6379", "a:",   "a:0",  "a:65536",
                                        "a:63x", "unix:", "a:-1", "[]:1", "a:999999999"};
    struct weft_redis_address address;
    for (size_t i = 0; i < WEFT_COUNT_OF(wrong); i++)
        assert_int_equal(weft_redis_address_read(weft_str_z(wrong[i]), &address), WEFT_ECONFIG);
    assert_int_equal(weft_redis_address_read(weft_str_z("localhost:9"), &address), 0);
    assert_int_equal(weft_redis_address_resolve(&address), 0);
    assert_in_range(address.socket_count, 1, WEFT_REDIS_SOCKETS_MAX);
    for (uint32_t i = 0; i < address.socket_count; i++)
        assert_true(address.sockets[i].bytes > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands),
        cmocka_unit_test(the_longest_space),
        cmocka_unit_test(hellos),
        cmocka_unit_test(addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
