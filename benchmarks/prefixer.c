/* The floor of the output path: it puts a prefix before each line of its children, and does nothing else.
 *
 *     prefixer NAME COMMAND [NAME COMMAND]...
 *
 * Each command runs in a shell with a pipe for its output; whichever pipes are readable are read, at most 64 KiB at a
 * time, and whole lines are written with the time and the name before them. There is no history, no restarting, no
 * unfinished line shown, and a reader who does not read blocks everything. SIGTERM ends it and its children.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (64 * 1024)
#define MOST 64
#define WIDE (256 * 1024) /* what procsup makes of it */

struct source {
    const char *name;
    char *held; /* the beginning of a line, and room for a chunk behind it */
    size_t length;
    size_t room;
};

static struct source sources[MOST];
static struct pollfd polled[MOST];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void finish(int number)
{
    (void)number;
    signal(SIGTERM, SIG_IGN);
    kill(0, SIGTERM);
    while (wait(NULL) > 0 || errno == EINTR)
        ;
    _exit(0);
}

static void write_all(const char *data, size_t length)
{
    while (length) {
        ssize_t sent = write(1, data, length);
        if (sent < 0) {
            if (errno == EINTR)
                continue;
            die("write");
        }
        data += sent;
        length -= (size_t)sent;
    }
}

/* Whole lines only; the rest moves to the front. */
static void speak(struct source *source)
{
    static char *out;
    static size_t out_room;
    static time_t second = -1;
    static char stamp[16];
    char prefix[128];
    time_t now = time(NULL);
    if (now != second) {
        second = now;
        strftime(stamp, sizeof stamp, "%H:%M:%S", localtime(&now));
    }
    size_t before = (size_t)snprintf(prefix, sizeof prefix, "%s %-7s | ", stamp, source->name);
    char *at = source->held, *end = source->held + source->length, *newline;
    size_t used = 0;
    while ((newline = memchr(at, '\n', (size_t)(end - at)))) {
        size_t line = (size_t)(newline + 1 - at);
        if (used + before + line > out_room) {
            out_room = 2 * (used + before + line);
            out = realloc(out, out_room);
            if (!out)
                die("realloc");
        }
        memcpy(out + used, prefix, before);
        memcpy(out + used + before, at, line);
        used += before + line;
        at += line;
    }
    source->length = (size_t)(end - at);
    memmove(source->held, at, source->length);
    write_all(out, used);
}

static int start(const char *command)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        die("pipe");
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        dup2(ends[1], 1);
        dup2(ends[1], 2);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    return ends[0];
}

int main(int count, char **words)
{
    nfds_t all = 0;
    nfds_t living;
    if (count < 3 || count % 2 == 0 || count / 2 > MOST) {
        fprintf(stderr, "usage: prefixer NAME COMMAND [NAME COMMAND]...\n");
        return 2;
    }
    signal(SIGTERM, finish);
    fcntl(1, F_SETPIPE_SZ, WIDE);
    for (int at = 1; at < count; at += 2, all++) {
        sources[all].name = words[at];
        polled[all].fd = start(words[at + 1]);
        polled[all].events = POLLIN;
    }
    for (living = all; living;) {
        if (poll(polled, all, -1) < 0)
            die("poll");
        for (nfds_t each = 0; each < all; each++) {
            struct source *source = &sources[each];
            if (polled[each].fd < 0 || !polled[each].revents)
                continue;
            if (source->room < source->length + CHUNK) {
                source->room = 2 * (source->length + CHUNK);
                source->held = realloc(source->held, source->room);
                if (!source->held)
                    die("realloc");
            }
            ssize_t got = read(polled[each].fd, source->held + source->length, CHUNK);
            if (got > 0) {
                source->length += (size_t)got;
                speak(source);
            } else if (got == 0 || errno != EINTR) {
                close(polled[each].fd);
                polled[each].fd = -1;
                living--;
            }
        }
    }
    finish(0);
}
