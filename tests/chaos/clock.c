/* LD_PRELOAD: the wall clock of a process, off by as many seconds as the file $CLOCK_OFFSET says.
   Compiles without any header. */
struct time { long seconds; long parts; };
extern long syscall(long number, ...);
extern char *getenv(const char *name);
extern int open(const char *path, int flags, ...);
extern void *mmap(void *place, unsigned long size, int protection, int flags, int file, long from);

#if defined(__x86_64__)
#define CLOCK_GETTIME 228
#elif defined(__aarch64__)
#define CLOCK_GETTIME 113
#endif

static volatile long *offset;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CLOCK_OFFSET");
    int file = path ? open(path, 0) : -1;
    if (file >= 0) {
        void *place = mmap(0, 4096, 1, 1, file, 0);
        offset = place == (void *)-1 ? 0 : place;
    }
}

int clock_gettime(int clock, struct time *now) {
    int failed = (int)syscall(CLOCK_GETTIME, (long)clock, now);
    if (!failed && offset && (clock == 0 || clock == 5)) now->seconds += *offset;
    return failed;
}

int gettimeofday(struct time *now, void *zone) {
    (void)zone;
    int failed = clock_gettime(0, now);
    now->parts /= 1000;
    return failed;
}

long time(long *where) {
    struct time now;
    clock_gettime(0, &now);
    if (where) *where = now.seconds;
    return now.seconds;
}
