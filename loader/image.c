/*
 * loader/image.c -- disk images between their drives and their stores: the queue, the worker, what
 * the user is told, changes of the medium.
 *
 * Requests of an image are served in order by its one worker.  A flush therefore covers every write
 * that was acknowledged before; and a write that waits for stable storage (writethrough) is a write
 * and a flush.
 *
 * A request that will hardly wait is done inside of submit(), which saves two changes of thread:
 * reads that the host's page cache can answer, and, while the worker is idle, writes into that
 * cache.  Should such a write take long after all (the host makes writers wait once too much is
 * dirty), the worker has the next ones.
 *
 * Where the drive's policy is to stop the machine, a request that failed is kept until the machine
 * goes on and then tried again: the guest notices nothing but the time.  A reset or a change of the
 * medium ends it.
 *
 * The machine's thread owns everything but what `lock` guards.
 */
#include "loader/image.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "cpu/hosttime.h"
#include "loader/image_store.h"

enum {
    /* Copying so much takes about as long as two changes of thread, 0.2 ms; larger ones would keep
     * the machine's thread too long. */
    NOW_MAX = 1 << 20,
    SLOW_NS = 20000000, /* so did one that took longer: the host was not just busy */
    SLOW_MS = 200,      /* and then the worker has them for so long */
    PATIENCE_MS = 5000,
    MS_PER_S = 1000,
    NS_PER_MS = 1000000,
    NS_PER_S = 1000000000,
    OP_COUNT = BLOCK_DISCARD + 1,
};

struct queue {
    struct block_request *first, **end;
};

struct image_host {
    bool synchronous;
    int event_fd;
    unsigned patience_ms;
    struct image *images;
    void (*stop)(void *ctx); /* NULL: nobody can stop the machine */
    void *stop_ctx;
};

struct image {
    struct block_backend backend;
    struct image_host *host;
    struct image *next;
    char name[IMAGE_NAME_BYTES];
    struct image_spec spec;
    bool removable;
    bool tray_open;
    struct store *store;    /* NULL: no medium.  While requests are under way: the worker's */
    uint64_t slow_until_ns; /* host time: until then writes wait, so the worker has them */
    int reported[OP_COUNT]; /* what the user has been told already, by operation */
    struct queue kept;      /* failed, to be tried again; image_data is the error */

    pthread_t worker;
    bool has_worker;
    pthread_mutex_t lock;
    pthread_cond_t work, changed; /* for the worker; for whoever waits for it */
    struct queue waiting, completed;
    struct block_request *running;
    bool quit;
};

/* ---- lists of requests ---- */

static void queue_init(struct queue *queue)
{
    queue->first = NULL;
    queue->end = &queue->first;
}

static void queue_put(struct queue *queue, struct block_request *request)
{
    request->next = NULL;
    *queue->end = request;
    queue->end = &request->next;
}

static struct block_request *queue_take(struct queue *queue)
{
    struct block_request *request = queue->first;

    if (request != NULL) {
        queue->first = request->next;
        if (queue->first == NULL)
            queue->end = &queue->first;
    }
    return request;
}

static bool queue_remove(struct queue *queue, struct block_request *request)
{
    for (struct block_request **at = &queue->first; *at != NULL; at = &(*at)->next) {
        if (*at != request)
            continue;
        *at = request->next;
        if (queue->end == &request->next)
            queue->end = at;
        return true;
    }
    return false;
}

/* ---- one request ---- */

static bool waits_for_storage(const struct image_spec *spec)
{
    return spec->cache == CACHE_WRITETHROUGH || spec->cache == CACHE_DIRECTSYNC;
}

/* Worker's thread, or the machine's when there is none. */
static int execute(const struct image *image, const struct block_request *r)
{
    struct store *store = image->store;
    int error;

    switch (r->op) {
    case BLOCK_READ:
        return store->ops->read(store, r->iov, r->iov_count, r->offset, r->size);
    case BLOCK_WRITE:
        error = store->ops->write(store, r->iov, r->iov_count, r->offset, r->size);
        return error == 0 && waits_for_storage(&image->spec) ? store->ops->flush(store) : error;
    case BLOCK_FLUSH:
        return image->spec.cache == CACHE_UNSAFE ? 0 : store->ops->flush(store);
    case BLOCK_DISCARD:
        return store->can_discard ? store->ops->discard(store, r->offset, r->size) : 0;
    }
    return -EINVAL;
}

/* What needs no store to be answered; 1: the store must. */
static int check(const struct image *image, const struct block_request *r)
{
    if (image->store == NULL)
        return -ENOMEDIUM;
    if (r->op == BLOCK_FLUSH)
        return image->store->read_only ? 0 : 1;
    if (r->offset % BLOCK_SECTOR != 0 || r->size % BLOCK_SECTOR != 0 ||
        r->offset > image->store->size_bytes || r->size > image->store->size_bytes - r->offset)
        return -EINVAL;
    if (r->op != BLOCK_READ && image->store->read_only)
        return -EROFS;
    return r->size == 0 ? 0 : 1;
}

/* One line for the user; again only when something else is wrong, or the machine stops for it. */
static void report(struct image *image, const struct block_request *r, int error, bool stops)
{
    static const char *const verbs[OP_COUNT] = {"read", "write", "flush", "discard"};
    const char *then = stops ? "; the machine is paused, \"cont\" in the monitor tries again" : "";

    if (image->reported[r->op] == error && !stops)
        return;
    image->reported[r->op] = error;
    if (r->op == BLOCK_FLUSH)
        fprintf(stderr, "ringer: %s: %s: flush failed: %s%s\n", image->name, image->spec.file,
                strerror(-error), then);
    else if (error == -EPERM)
        fprintf(
            stderr,
            "ringer: %s: %s: the first sector was not written: it would make the raw image look "
            "like another format (-drive format=raw allows it)\n",
            image->name, image->spec.file);
    else
        fprintf(stderr, "ringer: %s: %s: %s of %llu bytes at %llu failed: %s%s\n", image->name,
                image->spec.file, verbs[r->op], (unsigned long long)r->size,
                (unsigned long long)r->offset, strerror(-error), then);
}

/* Our own flushes, which nobody could let go on. */
static void flush_done(struct block_request *request, int error)
{
    *(int *)request->ctx = error;
}

static bool stops_machine(const struct image *image, const struct block_request *r,
                          enum image_on_error policy, int error)
{
    /* -EPERM is our own refusal: it would be the same again. */
    if (image->host->stop == NULL || r->done == flush_done || error == -EPERM)
        return false;
    return policy == ON_ERROR_STOP || (policy == ON_ERROR_ENOSPC && error == -ENOSPC);
}

/* The end of a request, on the machine's thread; it is not ours afterwards, unless it is kept. */
static void finish(struct image *image, struct block_request *r, int error)
{
    if (error != 0 && error != -ENOMEDIUM && error != -EINVAL && error != -EROFS) {
        const enum image_on_error policy =
            r->op == BLOCK_READ ? image->spec.on_read_error : image->spec.on_write_error;
        const bool stops = stops_machine(image, r, policy, error);

        report(image, r, error, stops);
        if (stops) {
            r->image_data = (void *)(intptr_t)error;
            queue_put(&image->kept, r);
            image->host->stop(image->host->stop_ctx);
            return;
        }
        if (policy == ON_ERROR_IGNORE)
            error = 0;
    }
    r->done(r, error);
}

/* The machine will not go on with this medium: what was kept ends with its error. */
static void give_up_kept(struct image *image)
{
    struct block_request *r;

    while ((r = queue_take(&image->kept)) != NULL)
        r->done(r, (int)(intptr_t)r->image_data);
}

/* ---- the worker ---- */

static void wake_machine(struct image_host *host)
{
    const uint64_t one = 1;

    while (write(host->event_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

static void *worker_main(void *arg)
{
    struct image *image = arg;

    pthread_mutex_lock(&image->lock);
    for (;;) {
        struct block_request *request = queue_take(&image->waiting);
        int error;

        if (request == NULL && image->quit)
            break;
        if (request == NULL) {
            pthread_cond_wait(&image->work, &image->lock);
            continue;
        }
        image->running = request;
        pthread_mutex_unlock(&image->lock);
        error = execute(image, request);
        pthread_mutex_lock(&image->lock);
        image->running = NULL;
        request->image_data = (void *)(intptr_t)error;
        queue_put(&image->completed, request);
        pthread_cond_broadcast(&image->changed);
        wake_machine(image->host);
    }
    pthread_mutex_unlock(&image->lock);
    return NULL;
}

static int worker_start(struct image *image)
{
    sigset_t all, old;
    int error;

    /* Signals are for the process's other threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    error = pthread_create(&image->worker, NULL, worker_main, image);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    image->has_worker = error == 0;
    return -error;
}

/* Give the drive what has been completed. */
static void deliver(struct image *image)
{
    for (;;) {
        struct block_request *request;

        pthread_mutex_lock(&image->lock);
        request = queue_take(&image->completed);
        pthread_mutex_unlock(&image->lock);
        if (request == NULL)
            return;
        finish(image, request, (int)(intptr_t)request->image_data);
    }
}

/* ---- waiting for the worker ---- */

struct patience {
    struct timespec until;
    bool lost;
};

static struct patience patience_start(const struct image *image)
{
    const unsigned ms = image->host->patience_ms;
    struct patience patience = {.lost = false};

    clock_gettime(CLOCK_MONOTONIC, &patience.until);
    patience.until.tv_sec += ms / MS_PER_S;
    patience.until.tv_nsec += (long)(ms % MS_PER_S) * NS_PER_MS;
    if (patience.until.tv_nsec >= NS_PER_S) {
        patience.until.tv_nsec -= NS_PER_S;
        patience.until.tv_sec++;
    }
    return patience;
}

/* With the lock held: until the worker has done something.  A server that has not answered for too
 * long is given up; then the worker gets an error.  A disk of the host's own is waited for. */
static void wait_for_worker(struct image *image, struct patience *patience)
{
    if (patience->lost || !image->store->can_hang) {
        pthread_cond_wait(&image->changed, &image->lock);
    } else if (pthread_cond_timedwait(&image->changed, &image->lock, &patience->until) ==
               ETIMEDOUT) {
        patience->lost = true;
        fprintf(stderr, "ringer: %s: %s: does not answer, given up\n", image->name,
                image->spec.file);
        image->store->ops->abort(image->store);
    }
}

/* ---- the drive's calls ---- */

static bool worker_is_idle(struct image *image)
{
    bool idle;

    if (!image->has_worker)
        return true;
    pthread_mutex_lock(&image->lock);
    idle = image->running == NULL && image->waiting.first == NULL;
    pthread_mutex_unlock(&image->lock);
    return idle;
}

/* A write into the host's page cache. */
static bool write_now(struct image *image, const struct block_request *r, int *error)
{
    uint64_t start_ns, end_ns;

    if (!image->store->quick_writes || waits_for_storage(&image->spec))
        return false;
    start_ns = hosttime_ns();
    if (start_ns < image->slow_until_ns)
        return false;
    *error = execute(image, r);
    end_ns = hosttime_ns();
    if (end_ns - start_ns > SLOW_NS)
        image->slow_until_ns = end_ns + (uint64_t)SLOW_MS * NS_PER_MS;
    return true;
}

/* Do the request here, if it will hardly wait.  False: the worker must, and nothing has happened
 * that it would not do again.  While the worker is idle the store may be used here. */
static bool do_now(struct image *image, const struct block_request *r, int *error)
{
    struct store *store = image->store;

    if (r->size > NOW_MAX || !worker_is_idle(image))
        return false;
    *error = 0;
    if (r->op == BLOCK_READ)
        return store->ops->read_now != NULL &&
               store->ops->read_now(store, r->iov, r->iov_count, r->offset, r->size);
    return r->op == BLOCK_WRITE && write_now(image, r, error);
}

static void image_submit(void *ctx, struct block_request *request)
{
    struct image *image = ctx;
    int error = check(image, request);

    if (error <= 0 || do_now(image, request, &error)) {
        finish(image, request, error);
        return;
    }
    if (image->host->synchronous || (!image->has_worker && worker_start(image) != 0)) {
        finish(image, request, execute(image, request));
        return;
    }
    pthread_mutex_lock(&image->lock);
    queue_put(&image->waiting, request);
    pthread_cond_signal(&image->work);
    pthread_mutex_unlock(&image->lock);
}

static void image_cancel(void *ctx, struct block_request *request)
{
    struct image *image = ctx;
    struct patience patience = patience_start(image);

    if (queue_remove(&image->kept, request))
        return;
    pthread_mutex_lock(&image->lock);
    if (!queue_remove(&image->waiting, request)) {
        while (image->running == request)
            wait_for_worker(image, &patience);
        queue_remove(&image->completed, request);
    }
    pthread_mutex_unlock(&image->lock);
}

/* Until the worker has nothing left. */
static void settle(struct image *image)
{
    for (;;) {
        struct patience patience = patience_start(image);
        bool busy;

        deliver(image);
        pthread_mutex_lock(&image->lock);
        while (image->completed.first == NULL &&
               (image->running != NULL || image->waiting.first != NULL))
            wait_for_worker(image, &patience);
        busy = image->completed.first != NULL;
        pthread_mutex_unlock(&image->lock);
        if (!busy)
            return;
    }
}

static void image_drain(void *ctx)
{
    struct image *image = ctx;

    do {
        settle(image);
        give_up_kept(image); /* the drive may submit another */
        settle(image);
    } while (image->kept.first != NULL);
}

static void image_tray_moved(void *ctx, bool open)
{
    struct image *image = ctx;

    image->tray_open = open;
}

static const struct block_ops block_ops = {
    .submit = image_submit,
    .cancel = image_cancel,
    .drain = image_drain,
    .tray_moved = image_tray_moved,
};

/* ---- the host side of all images ---- */

struct image_host *image_host_create(bool synchronous)
{
    struct image_host *host = calloc(1, sizeof(*host));

    if (host == NULL)
        return NULL;
    host->synchronous = synchronous;
    host->patience_ms = PATIENCE_MS;
    host->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (host->event_fd < 0) {
        free(host);
        return NULL;
    }
    return host;
}

void image_host_destroy(struct image_host *host)
{
    if (host == NULL)
        return;
    while (host->images != NULL)
        image_close(host->images);
    close(host->event_fd);
    free(host);
}

void image_host_set_patience(struct image_host *host, unsigned ms)
{
    host->patience_ms = ms;
}

int image_host_fd(const struct image_host *host)
{
    return host->event_fd;
}

void image_host_ready(void *ctx, int fd)
{
    struct image_host *host = ctx;
    uint64_t count;

    if (read(fd, &count, sizeof(count)) < 0)
        return; /* somebody has emptied it: what it stood for has been delivered */
    for (struct image *image = host->images; image != NULL; image = image->next)
        deliver(image);
}

void image_host_on_stop(struct image_host *host, void (*stop)(void *ctx), void *ctx)
{
    host->stop = stop;
    host->stop_ctx = ctx;
}

void image_host_retry(void *ctx)
{
    struct image_host *host = ctx;

    for (struct image *image = host->images; image != NULL; image = image->next) {
        struct queue kept = image->kept;
        struct block_request *r;

        if (kept.first == NULL)
            continue;
        queue_init(&image->kept); /* for what fails again */
        while ((r = queue_take(&kept)) != NULL)
            image_submit(image, r);
    }
}

/* ---- open, close ---- */

/* Put a store in (NULL: nothing); the drive is to be told by the caller. */
static void set_medium(struct image *image, struct store *store, const struct image_spec *spec)
{
    image->store = store;
    image->spec = *spec;
    memset(image->reported, 0, sizeof(image->reported));
    image->backend.inserted = store != NULL;
    image->backend.size_bytes = store != NULL ? store->size_bytes : 0;
    image->backend.read_only = store != NULL && store->read_only;
    image->backend.can_discard = store != NULL && store->can_discard && !store->read_only;
}

struct image *image_open(struct image_host *host, const char *name, const struct image_spec *spec,
                         bool removable, struct error *error)
{
    struct image *image = calloc(1, sizeof(*image));
    struct store *store = NULL;
    pthread_condattr_t monotonic;

    if (image == NULL) {
        (void)error_set(error, "%s: not enough host memory", name);
        return NULL;
    }
    if (spec->file[0] == '\0' && !removable) {
        free(image);
        (void)error_set(error, "%s: a hard disk needs an image (file=...)", name);
        return NULL;
    }
    if (spec->file[0] != '\0') {
        store = store_open(spec, error);
        if (store == NULL) {
            free(image);
            return NULL;
        }
    }
    snprintf(image->name, sizeof(image->name), "%s", name);
    image->host = host;
    image->removable = removable;
    image->backend.ops = &block_ops;
    image->backend.ctx = image;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&image->lock, NULL);
    pthread_cond_init(&image->work, NULL);
    pthread_cond_init(&image->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    queue_init(&image->waiting);
    queue_init(&image->completed);
    queue_init(&image->kept);
    set_medium(image, store, spec);
    image->next = host->images;
    host->images = image;
    return image;
}

/* Let the worker finish what it has. */
static void worker_end(struct image *image)
{
    struct patience patience = patience_start(image);

    if (!image->has_worker)
        return;
    pthread_mutex_lock(&image->lock);
    while (image->running != NULL || image->waiting.first != NULL)
        wait_for_worker(image, &patience);
    image->quit = true;
    pthread_cond_signal(&image->work);
    pthread_mutex_unlock(&image->lock);
    pthread_join(image->worker, NULL);
    image->has_worker = false;
}

int image_flush(struct image *image)
{
    int error = 1;
    struct block_request request = {.op = BLOCK_FLUSH, .done = flush_done, .ctx = &error};

    if (image->store == NULL)
        return 0;
    image_submit(image, &request);
    settle(image);
    return error;
}

/* The medium leaves: nothing is under way any more. */
static void close_store(struct image *image)
{
    int error = 0;
    struct block_request flush = {.op = BLOCK_FLUSH, .done = flush_done, .ctx = &error};

    if (image->store == NULL)
        return;
    /* By the worker, if there is one: it may have to be given up. */
    if (!image->store->read_only && image->spec.cache != CACHE_UNSAFE)
        image_submit(image, &flush);
    worker_end(image);
    deliver(image);
    image->quit = false;
    image->store->ops->close(image->store);
    image->store = NULL;
}

void image_close(struct image *image)
{
    struct image **at = &image->host->images;

    while (*at != image)
        at = &(*at)->next;
    *at = image->next;
    close_store(image);
    pthread_mutex_destroy(&image->lock);
    pthread_cond_destroy(&image->work);
    pthread_cond_destroy(&image->changed);
    free(image);
}

struct block_backend *image_backend(struct image *image)
{
    return &image->backend;
}

/* ---- for the monitor ---- */

struct image *image_find(struct image_host *host, const char *name)
{
    struct image *image = host->images;

    while (image != NULL && strcmp(image->name, name) != 0)
        image = image->next;
    return image;
}

struct image *image_next(struct image_host *host, const struct image *after)
{
    struct image *found = NULL;

    /* The list is newest first: the one that was opened next is the one before. */
    for (struct image *image = host->images; image != NULL && image != after; image = image->next)
        found = image;
    return found;
}

const char *image_name(const struct image *image)
{
    return image->name;
}

/* May the medium be taken out now? */
static bool open_tray(struct image *image, bool force, struct error *error)
{
    const struct block_drive_ops *drive = image->backend.drive_ops;

    if (!image->removable)
        return error_set(error, "%s is not removable", image->name);
    if (image->tray_open || drive == NULL || drive->eject_pressed == NULL ||
        drive->eject_pressed(image->backend.drive) || force)
        return true;
    return error_set(error,
                     "%s is locked by the guest, which has been asked to let it go; try again",
                     image->name);
}

static void change_medium(struct image *image, struct store *store, const struct image_spec *spec)
{
    const struct block_drive_ops *drive = image->backend.drive_ops;

    if (drive != NULL && drive->medium_leaving != NULL)
        drive->medium_leaving(image->backend.drive);
    image_drain(image);
    close_store(image);
    set_medium(image, store, spec);
    if (drive != NULL && drive->medium_changed != NULL)
        drive->medium_changed(image->backend.drive);
}

bool image_eject(struct image *image, bool force, struct error *error)
{
    struct image_spec nothing = image->spec;

    if (!open_tray(image, force, error))
        return false;
    nothing.file[0] = '\0';
    if (image->store != NULL)
        change_medium(image, NULL, &nothing);
    return true;
}

bool image_change(struct image *image, const struct image_spec *spec, bool force,
                  struct error *error)
{
    struct image_spec kept = *spec;
    struct store *store;

    if (!image->removable)
        return error_set(error, "%s is not removable", image->name);
    kept.on_read_error = image->spec.on_read_error;
    kept.on_write_error = image->spec.on_write_error;
    store = store_open(spec, error);
    if (store == NULL)
        return false;
    if (!open_tray(image, force, error)) {
        store->ops->close(store);
        return false;
    }
    change_medium(image, store, &kept);
    return true;
}

void image_describe(const struct image *image, char *text, size_t size)
{
    static const char *const caches[] = {"writeback", "none", "writethrough", "directsync",
                                         "unsafe"};

    if (image->store == NULL)
        snprintf(text, size, "%s: [not inserted]%s", image->name,
                 image->tray_open ? ", tray open" : "");
    else
        snprintf(
            text, size, "%s: %s (%s%s%s), %llu bytes, cache=%s%s", image->name, image->spec.file,
            image->store->format, image->store->read_only ? ", read-only" : "",
            image->spec.snapshot ? ", snapshot" : "", (unsigned long long)image->store->size_bytes,
            caches[image->spec.cache], image->tray_open ? ", tray open" : "");
}
