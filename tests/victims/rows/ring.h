/* A ring of requests to the kernel. */
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/utsname.h>

/* Eight entries, one request at a time. */
static struct {
    long fd;
    unsigned *submit_tail, *submit_mask, *submit_array;
    unsigned *complete_head, *complete_tail, *complete_mask;
    struct io_uring_sqe *requests;
    struct io_uring_cqe *completions;
} ring;

static char *map_ring(size_t length, off_t offset)
{
    void *start = mmap(0, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                       (int)ring.fd, offset);
    if (start == MAP_FAILED)
        must(-errno, __func__);
    return start;
}
static void setup_uring(void)
{
    struct io_uring_params p = {0};
    ring.fd = must(SYS(SYS_io_uring_setup, 8, &p), __func__);
    char *submit = map_ring(p.sq_off.array + p.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
    char *complete = map_ring(p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe),
                              IORING_OFF_CQ_RING);
    ring.requests = (void *)map_ring(p.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
    ring.submit_tail = (void *)(submit + p.sq_off.tail);
    ring.submit_mask = (void *)(submit + p.sq_off.ring_mask);
    ring.submit_array = (void *)(submit + p.sq_off.array);
    ring.complete_head = (void *)(complete + p.cq_off.head);
    ring.complete_tail = (void *)(complete + p.cq_off.tail);
    ring.complete_mask = (void *)(complete + p.cq_off.ring_mask);
    ring.completions = (void *)(complete + p.cq_off.cqes);
}
/* Ends the victim where the kernel is older: then its requests are not seen. */
static void needs_kernel(int major, int minor)
{
    struct utsname name;
    int has[2] = {0};
    uname(&name);
    sscanf(name.release, "%d.%d", &has[0], &has[1]);
    if (has[0] < major || (has[0] == major && has[1] < minor))
        exit(LACKS);
}
/* Puts one request into the ring. */
INLINE void queue(struct io_uring_sqe request)
{
    unsigned tail = *ring.submit_tail;
    unsigned slot = tail & *ring.submit_mask;
    ring.requests[slot] = request;
    ring.submit_array[slot] = slot;
    __atomic_store_n(ring.submit_tail, tail + 1, __ATOMIC_RELEASE);
}
/* Hands one request to the kernel. */
INLINE void submit(struct io_uring_sqe request)
{
    queue(request);
    must(SYS(SYS_io_uring_enter, ring.fd, 1, 0, 0), "io_uring_enter");
}
/* Waits for the result of the request that is under way. */
INLINE long complete(void)
{
    while (*ring.complete_head == __atomic_load_n(ring.complete_tail, __ATOMIC_ACQUIRE))
        must(SYS(SYS_io_uring_enter, ring.fd, 0, 1, IORING_ENTER_GETEVENTS), "io_uring_enter");
    unsigned head = *ring.complete_head;
    long result = ring.completions[head & *ring.complete_mask].res;
    __atomic_store_n(ring.complete_head, head + 1, __ATOMIC_RELEASE);
    return result;
}
