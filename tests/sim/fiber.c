/* SPDX-License-Identifier: MIT */

/* A fortified longjmp refuses to leave a stack for another. */
#undef _FORTIFY_SOURCE

#include "tests/sim/fiber.h"

#include "tests/sim/heap.h"

#include <assert.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif

#ifdef HAS_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

#define STACK_LEN (512u << 10)
#define GUARD_LEN (4u << 10)

enum { STACK_SPARE_MAX = NODE_MAX };

struct fiber {
    struct node *node;
    world_callback *body;
    void *context;
    struct event resume;
    bool is_parked;
    bool is_woken;
    bool is_begun;
    bool is_done;
    uint8_t *stack; /* behind its guard page */
    ucontext_t first;
    jmp_buf own;
    jmp_buf caller;
    void *fake_stack; /* AddressSanitizer's */
    const void *caller_stack;
    size_t caller_stack_len;
};

static struct fiber *current;

/* Mapping is slow, so stacks are used again. */
static uint8_t *spare_stacks[STACK_SPARE_MAX];
static unsigned spare_count;

static uint8_t *get_stack(void)
{
    if (spare_count) {
        return spare_stacks[--spare_count];
    }
    uint8_t *stack = mmap(NULL, STACK_LEN + GUARD_LEN, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    assert(stack != MAP_FAILED);
    mprotect(stack, GUARD_LEN, PROT_NONE);
    return stack + GUARD_LEN;
}

static void put_stack(uint8_t *stack)
{
    if (spare_count < STACK_SPARE_MAX) {
        spare_stacks[spare_count++] = stack;
    } else {
        munmap(stack - GUARD_LEN, STACK_LEN + GUARD_LEN);
    }
}

/* --- what AddressSanitizer has to know about a change of stacks --- */

static void begin_switch(void **fake_stack, const void *stack, size_t stack_len)
{
#ifdef HAS_ASAN
    __sanitizer_start_switch_fiber(fake_stack, stack, stack_len);
#else
    (void)fake_stack;
    (void)stack;
    (void)stack_len;
#endif
}

static void end_switch(void *fake_stack, const void **old_stack, size_t *old_stack_len)
{
#ifdef HAS_ASAN
    __sanitizer_finish_switch_fiber(fake_stack, old_stack, old_stack_len);
#else
    (void)fake_stack;
    (void)old_stack;
    (void)old_stack_len;
#endif
}

/* --- switching --- */

/* swapcontext asks the kernel for the signal mask each time: it is a tenth of a run. So only the first switch is one. */
static void leave(struct fiber *fiber)
{
    begin_switch(fiber->is_done ? NULL : &fiber->fake_stack, fiber->caller_stack,
                 fiber->caller_stack_len);
    if (_setjmp(fiber->own) == 0) {
        _longjmp(fiber->caller, 1);
    }
    end_switch(fiber->fake_stack, &fiber->caller_stack, &fiber->caller_stack_len);
}

static void go_on(struct fiber *fiber)
{
    if (fiber->is_begun) {
        _longjmp(fiber->own, 1);
    }
    fiber->is_begun = true;
    setcontext(&fiber->first);
}

static void enter(void *context)
{
    struct fiber *fiber = context;
    void *fake_stack = NULL;
    fiber->is_parked = false;
    current = fiber;
    begin_switch(&fake_stack, fiber->stack, STACK_LEN);
    if (_setjmp(fiber->caller) == 0) {
        go_on(fiber);
    }
    end_switch(fake_stack, NULL, NULL);
    current = NULL;
}

static void begin(void)
{
    struct fiber *fiber = current;
    end_switch(NULL, &fiber->caller_stack, &fiber->caller_stack_len);
    fiber->body(fiber->context);
    fiber->is_done = true;
    leave(fiber);
}

struct fiber *fiber_new(struct node *node, world_callback *body, void *context)
{
    struct fiber *fiber = world_get(1, sizeof *fiber);
    fiber->node = node;
    fiber->body = body;
    fiber->context = context;
    fiber->stack = get_stack();
    getcontext(&fiber->first);
    fiber->first.uc_stack.ss_sp = fiber->stack;
    fiber->first.uc_stack.ss_size = STACK_LEN;
    makecontext(&fiber->first, begin, 0);
    event_init(&fiber->resume, node, "resume", enter, fiber);
    event_set(&fiber->resume, 0);
    return fiber;
}

struct fiber *fiber_current(void)
{
    return current;
}

bool fiber_park(uint64_t deadline_us)
{
    struct fiber *fiber = current;
    uint64_t now_us = world_now_us();
    fiber->is_parked = true;
    fiber->is_woken = false;
    event_set(&fiber->resume, deadline_us > now_us ? deadline_us - now_us : 0);
    leave(fiber);
    return fiber->is_woken;
}

void fiber_sleep(uint64_t delay_us)
{
    uint64_t deadline_us = world_now_us() + delay_us;
    while (world_now_us() < deadline_us) {
        fiber_park(deadline_us);
    }
}

void fiber_wake(struct fiber *fiber)
{
    if (fiber->is_parked && !fiber->is_woken) {
        fiber->is_woken = true;
        event_set(&fiber->resume, 0);
    }
}

bool fiber_is_done(const struct fiber *fiber)
{
    return fiber->is_done;
}

void fiber_free(struct fiber *fiber)
{
    if (!fiber) {
        return;
    }
    event_clear(&fiber->resume);
    put_stack(fiber->stack);
    world_put(fiber);
}
