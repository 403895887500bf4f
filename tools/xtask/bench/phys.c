// phys: physical limits of this machine. Each line of output: name value unit [detail]. CPU cores:
// server on 0, client on 1.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nmmintrin.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}
static double cpu(void) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return r.ru_utime.tv_sec + r.ru_utime.tv_usec / 1e6 + r.ru_stime.tv_sec +
           r.ru_stime.tv_usec / 1e6;
}
static void pin(int c) {
    if (getenv("NOPIN"))
        return;
    cpu_set_t s;
    CPU_ZERO(&s);
    CPU_SET(c, &s);
    sched_setaffinity(0, sizeof s, &s);
}
static uint32_t crc1(uint32_t c, const uint8_t *p, size_t n) {
    uint64_t x = c;
    while (n >= 8) {
        x = _mm_crc32_u64(x, *(const uint64_t *)p);
        p += 8;
        n -= 8;
    }
    while (n--)
        x = _mm_crc32_u8(x, *p++);
    return x;
}
static uint32_t
crc3(const uint8_t *p,
     size_t n) { // three independent streams (throughput bound; combine step left out)
    size_t k = n / 24;
    const uint64_t *a = (void *)p, *b = a + k, *d = b + k;
    uint64_t x = ~0u, y = 0, z = 0;
    for (size_t i = 0; i < k; i++) {
        x = _mm_crc32_u64(x, a[i]);
        y = _mm_crc32_u64(y, b[i]);
        z = _mm_crc32_u64(z, d[i]);
    }
    return x ^ y ^ z;
}
static int port = 20900;
static int lsn(void) {
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, 4);
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(s, (void *)&a, sizeof a) || listen(s, 100)) {
        perror("bind");
        exit(1);
    }
    return s;
}
static int con(void) {
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    while (connect(s, (void *)&a, sizeof a))
        usleep(1000);
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, 4);
    return s;
}
static void rdn(int s, void *b, size_t n) {
    char *p = b;
    while (n) {
        ssize_t k = read(s, p, n);
        if (k <= 0)
            exit(0);
        p += k;
        n -= k;
    }
}
static void wrn(int s, const void *b, size_t n) {
    const char *p = b;
    while (n) {
        ssize_t k = write(s, p, n);
        if (k <= 0)
            exit(0);
        p += k;
        n -= k;
    }
}
static const char *dir;
// server kinds: sink (recv only), logsink (recv 64K batch, crc, write to file, 64 B ack)
static void stream(const char *name, int kind, size_t chunk, size_t total, int trunc_) {
    port++;
    int l = lsn();
    int pp[2];
    if (pipe(pp))
        exit(1);
    pid_t ch = fork();
    if (!ch) {
        pin(0);
        char *b = malloc(chunk);
        int s = accept(l, 0, 0);
        char path[300];
        snprintf(path, 300, "%s/phys.log", dir);
        int f = kind >= 1 ? open(path, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0644) : -1;
        double c0 = cpu();
        uint32_t acc = 0;
        if (kind == 3) {
            int in = open(path, O_RDONLY);
            (void)in;
        }
        size_t got = 0;
        if (kind == 0) {
            for (;;) {
                ssize_t k = recv(s, b, chunk, 0);
                if (k <= 0)
                    break;
                got += k;
            }
        } else {
            int one = 1;
            setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, 4);
            while (got < total) {
                rdn(s, b, chunk);
                got += chunk;
                if (kind == 2) {
                    acc ^= crc3((uint8_t *)b, chunk);
                    wrn(f, b, chunk);
                }
                wrn(s, b, 64);
            }
        }
        double c = cpu() - c0;
        if (acc == 12345)
            puts("");
        wrn(pp[1], &c, 8);
        if (f >= 0)
            unlink(path);
        exit(0);
    }
    pin(1);
    char *b = malloc(chunk);
    memset(b, 'x', chunk);
    for (size_t i = 0; i < chunk; i++)
        b[i] = i * 7;
    int s = con();
    double t = now();
    size_t sent = 0;
    double c0 = cpu();
    char ack[64];
    int infl = 0;
    while (sent < total) {
        wrn(s, b, chunk);
        sent += chunk;
        if (kind) {
            if (++infl >= 5) {
                rdn(s, ack, 64);
                infl--;
            }
        }
    }
    while (infl-- > 0)
        rdn(s, ack, 64);
    shutdown(s, SHUT_WR);
    char z;
    if (!kind)
        while (read(s, &z, 1) > 0)
            ;
    double e = now() - t, cc = cpu() - c0, sc;
    rdn(pp[0], &sc, 8);
    close(s);
    close(l);
    waitpid(ch, 0, 0);
    (void)trunc_;
    printf("%s %.3f GB/s (chunk %zu; server CPU %.3f s/GB, client %.3f s/GB)\n", name,
           total / e / 1e9, chunk, sc / (total / 1e9), cc / (total / 1e9));
    fflush(stdout);
    free(b);
}
static void sf(const char *name, int trunc_, int use_sendfile, size_t chunk, size_t total) {
    port++;
    int l = lsn();
    int pp[2];
    if (pipe(pp))
        exit(1);
    char path[300];
    snprintf(path, 300, "%s/phys.sf", dir);
    size_t fs = 1ull << 30;
    int f = open(path, O_CREAT | O_RDWR, 0644);
    char *b = malloc(1 << 20);
    memset(b, 7, 1 << 20);
    struct {
        long x;
    } d;
    (void)d;
    if (lseek(f, 0, SEEK_END) < (off_t)fs) {
        lseek(f, 0, SEEK_SET);
        for (size_t i = 0; i < fs >> 20; i++)
            wrn(f, b, 1 << 20);
        fsync(f);
    }
    pid_t ch = fork();
    if (!ch) {
        pin(0);
        int s = accept(l, 0, 0);
        double c0 = cpu();
        size_t sent = 0;
        char *bb = malloc(chunk);
        while (sent < total) {
            off_t o = sent % fs;
            if (use_sendfile) {
                ssize_t k = sendfile(s, f, &o, chunk);
                if (k <= 0)
                    break;
                sent += k;
            } else {
                ssize_t k = pread(f, bb, chunk, o);
                wrn(s, bb, k);
                sent += k;
            }
        }
        double c = cpu() - c0;
        wrn(pp[1], &c, 8);
        exit(0);
    }
    pin(1);
    char *rb = malloc(1 << 18);
    int s = con();
    double t = now();
    size_t got = 0;
    while (got < total) {
        ssize_t k = recv(s, rb, 1 << 18, trunc_ ? MSG_TRUNC : 0);
        if (k <= 0)
            break;
        got += k;
    }
    double e = now() - t, sc;
    rdn(pp[0], &sc, 8);
    waitpid(ch, 0, 0);
    close(s);
    close(l);
    close(f);
    printf("%s %.3f GB/s (chunk %zu; server CPU %.3f s/GB)\n", name, got / e / 1e9, chunk,
           sc / (got / 1e9));
    fflush(stdout);
}
// request/reply: nconn connections, inflight per conn, req bytes -> 64 B reply; append=1 writes
// each request to a file, 2 = one write per epoll batch (coalesced)
static void reqrep(const char *name, int nconn, int infl, int req, int append, double secs) {
    port++;
    int l = lsn();
    int pp[2];
    if (pipe(pp))
        exit(1);
    pid_t ch = fork();
    if (!ch) {
        pin(0);
        int ep = epoll_create1(0);
        char path[300];
        snprintf(path, 300, "%s/phys.rr", dir);
        int f = append ? open(path, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0644) : -1;
        int fds = 0;
        char *buf = malloc(1 << 20);
        char ack[64 * 64] = {0};
        int part[1024] = {0};
        double c0 = 0;
        long n = 0;
        for (int i = 0; i < nconn; i++) {
            int s = accept(l, 0, 0);
            int one = 1;
            setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, 4);
            struct epoll_event e = {EPOLLIN, {.fd = s}};
            epoll_ctl(ep, EPOLL_CTL_ADD, s, &e);
            fds++;
        }
        c0 = cpu();
        while (fds) {
            struct epoll_event ev[64];
            int k = epoll_wait(ep, ev, 64, -1);
            for (int i = 0; i < k; i++) {
                int s = ev[i].data.fd;
                ssize_t r = recv(s, buf, 1 << 20, MSG_DONTWAIT);
                if (r <= 0) {
                    if (r < 0 && errno == EAGAIN)
                        continue;
                    close(s);
                    fds--;
                    continue;
                }
                int tot = part[s] + r, m = tot / req;
                part[s] = tot % req;
                if (append == 1)
                    for (int j = 0; j < m; j++)
                        wrn(f, buf, req);
                else if (append == 2 && m)
                    wrn(f, buf, (size_t)m * req > (1 << 20) ? 1 << 20 : (size_t)m * req);
                n += m;
                if (m)
                    wrn(s, ack, 64 * (m > 64 ? 64 : m));
            }
        }
        double o[2] = {cpu() - c0, n};
        wrn(pp[1], o, 16);
        if (f >= 0)
            unlink(path);
        exit(0);
    }
    pin(1);
    int fd[1024], ep = epoll_create1(0);
    char *b = calloc(1, req * 64);
    char *rb = malloc(1 << 16);
    int acc[1024] = {0};
    for (int i = 0; i < nconn; i++) {
        fd[i] = con();
        struct epoll_event e = {EPOLLIN, {.u32 = i}};
        epoll_ctl(ep, EPOLL_CTL_ADD, fd[i], &e);
    }
    double t = now();
    long done = 0;
    for (int i = 0; i < nconn; i++)
        for (int j = 0; j < infl; j++)
            wrn(fd[i], b, req);
    while (now() - t < secs) {
        struct epoll_event ev[64];
        int k = epoll_wait(ep, ev, 64, 1000);
        for (int i = 0; i < k; i++) {
            int c = ev[i].data.u32;
            ssize_t r = recv(fd[c], rb, 1 << 16, MSG_DONTWAIT);
            if (r <= 0)
                continue;
            acc[c] += r;
            while (acc[c] >= 64) {
                acc[c] -= 64;
                done++;
                wrn(fd[c], b, req);
            }
        }
    }
    double e = now() - t;
    for (int i = 0; i < nconn; i++)
        close(fd[i]);
    double o[2];
    rdn(pp[0], o, 16);
    waitpid(ch, 0, 0);
    close(l);
    close(ep);
    printf("%s %.0f req/s (server CPU %.2f us/req)\n", name, done / e, o[0] / o[1] * 1e6);
    fflush(stdout);
}
static int cmpd(const void *a, const void *b) {
    double x = *(double *)a, y = *(double *)b;
    return x < y ? -1 : x > y;
}
static void rtt(void) {
    port++;
    int l = lsn();
    pid_t ch = fork();
    char b[1024] = {0};
    if (!ch) {
        pin(0);
        int s = accept(l, 0, 0), one = 1;
        setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, 4);
        for (;;) {
            rdn(s, b, 1024);
            wrn(s, b, 64);
        }
    }
    pin(1);
    int s = con();
    int N = 50000;
    double *v = malloc(N * 8);
    for (int i = 0; i < N; i++) {
        double t = now();
        wrn(s, b, 1024);
        rdn(s, b, 64);
        v[i] = (now() - t) * 1e6;
    }
    close(s);
    waitpid(ch, 0, 0);
    qsort(v, N, 8, cmpd);
    printf("loopback_rtt_1KiB p50 %.1f p99 %.1f p99.9 %.1f us\n", v[N / 2], v[N * 99 / 100],
           v[N * 999 / 1000]);
    fflush(stdout);
    close(l);
}
static void fsy(size_t sz, int n) {
    char path[300];
    snprintf(path, 300, "%s/phys.fs", dir);
    int f = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0644);
    char *b = calloc(1, sz);
    double *v = malloc(n * 8), T = now();
    for (int i = 0; i < n; i++) {
        wrn(f, b, sz);
        double t = now();
        fdatasync(f);
        v[i] = (now() - t) * 1e6;
    }
    T = now() - T;
    qsort(v, n, 8, cmpd);
    printf("append+fdatasync_%zu p50 %.0f p99 %.0f max %.0f us (%.0f /s, %.1f MB/s)\n", sz,
           v[n / 2], v[n * 99 / 100], v[n - 1], n / T, n * sz / T / 1e6);
    fflush(stdout);
    close(f);
    unlink(path);
}
static void wr(size_t sz, size_t total) {
    char path[300];
    snprintf(path, 300, "%s/phys.wr", dir);
    int f = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);
    char *b = calloc(1, sz);
    double t = now(), c0 = cpu();
    for (size_t i = 0; i < total; i += sz)
        wrn(f, b, sz);
    double e = now() - t, c = cpu() - c0;
    printf("write_pagecache_%zu %.3f GB/s (CPU %.3f s/GB)\n", sz, total / e / 1e9,
           c / (total / 1e9));
    fflush(stdout);
    close(f);
    unlink(path);
}
int main(int argc, char **argv) {
    dir = argc > 1 ? argv[1] : ".";
    setvbuf(stdout, 0, _IOLBF, 0);
    pin(1);
    size_t n = 256 << 20;
    char *a = malloc(n), *b = malloc(n);
    memset(a, 1, n);
    memset(b, 2, n);
    double t = now();
    for (int i = 0; i < 8; i++)
        memcpy(a, b, n);
    printf("memcpy_256MiB %.2f GB/s\n", 8.0 * n / (now() - t) / 1e9);
    t = now();
    for (int i = 0; i < 16384; i++)
        memcpy(a, b + (i & 1), 65536);
    printf("memcpy_64KiB_cached %.2f GB/s\n", 16384 * 65536.0 / (now() - t) / 1e9);
    uint32_t x = 0;
    t = now();
    for (int i = 0; i < 4; i++)
        x ^= crc1(~0u, (uint8_t *)b, n);
    printf("crc32c_1stream %.2f GB/s\n", 4.0 * n / (now() - t) / 1e9);
    t = now();
    for (int i = 0; i < 4; i++)
        x ^= crc3((uint8_t *)b, n);
    printf("crc32c_3stream %.2f GB/s (x=%u)\n", 4.0 * n / (now() - t) / 1e9, x & 1);
    t = now();
    for (int i = 0; i < 16384; i++)
        x ^= crc3((uint8_t *)b, 65536);
    printf("crc32c_3stream_64KiB_cached %.2f GB/s (%u)\n", 16384 * 65536.0 / (now() - t) / 1e9,
           x & 1);
    free(a);
    free(b);
    rtt();
    stream("tcp_sink", 0, 65536, 8ull << 30, 0);
    stream("tcp_sink", 0, 262144, 8ull << 30, 0);
    stream("tcp_batch_ack", 1, 65536, 4ull << 30, 0);
    stream("logsink_recv+crc+write+ack", 2, 65536, 3ull << 30, 0);
    stream("logsink_recv+crc+write+ack", 2, 1 << 20, 3ull << 30, 0);
    sf("sendfile", 0, 1, 1 << 20, 8ull << 30);
    sf("sendfile_recv_trunc", 1, 1, 1 << 20, 8ull << 30);
    sf("pread+send", 0, 0, 1 << 18, 8ull << 30);
    {
        char p[300];
        snprintf(p, 300, "%s/phys.sf", dir);
        unlink(p);
    }
    reqrep("reqrep_16conn_x5_1KiB", 16, 5, 1100, 0, 3);
    reqrep("reqrep_append_each_16conn_x5_1KiB", 16, 5, 1100, 1, 3);
    reqrep("reqrep_append_coalesced_16conn_x5_1KiB", 16, 5, 1100, 2, 3);
    reqrep("reqrep_1conn_x1_1KiB", 1, 1, 1100, 0, 2);
    wr(65536, 2ull << 30);
    fsy(1024, 300);
    fsy(4096, 300);
    fsy(65536, 300);
    fsy(1 << 20, 100);
    return 0;
}
