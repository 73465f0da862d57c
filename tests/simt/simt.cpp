// The scheduler of the emulator: fibers, barriers and warp collectives.
#include "simt.h"
#include <algorithm>
#include <limits>
#include <numeric>
#include <random>
#include <sys/mman.h>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if !defined(__x86_64__)
#error "the fiber switch is written for x86-64"
#endif

extern "C" void theta_simt_switch(void **save_stack_pointer, void *next_stack_pointer);
asm(R"(
.text
.globl theta_simt_switch
theta_simt_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");

namespace simt {

const Thread *current;
dim3 block_index, block_size, grid_size;
std::byte *shared_bytes;

namespace {

constexpr std::size_t stack_bytes = 64 << 10;
enum class State { ready, at_barrier, in_collective, done };

struct Fiber : Thread {
  State state;
  void *stack_pointer;
  void *fake_stack;           // ASan's shadow of the stack
  unsigned mask;              // lanes that the collective waits for
  std::uint64_t brought;      // what this lane gave to it
  std::uint64_t received[32]; // and what every lane of the mask gave
};

std::vector<std::byte *> stacks;
std::vector<Fiber> fibers;
const std::function<void()> *kernel_body;
void *scheduler_stack_pointer, *scheduler_fake_stack;
const void *scheduler_stack_bottom;
std::size_t scheduler_stack_size;
std::mt19937_64 schedule{1};

Fiber &self() { return const_cast<Fiber &>(static_cast<const Fiber &>(*current)); }

// AddressSanitizer must hear of every change of stack; `fake` is null when the fiber left will never run again.
void announce_switch([[maybe_unused]] void **fake, [[maybe_unused]] const void *bottom,
                     [[maybe_unused]] std::size_t size) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(fake, bottom, size);
#endif
}
void announce_arrival([[maybe_unused]] void *fake, [[maybe_unused]] const void **bottom,
                      [[maybe_unused]] std::size_t *size) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake, bottom, size);
#endif
}

void to_scheduler(State why) {
  Fiber &me = self();
  me.state = why;
  announce_switch(why == State::done ? nullptr : &me.fake_stack, scheduler_stack_bottom, scheduler_stack_size);
  theta_simt_switch(&me.stack_pointer, scheduler_stack_pointer);
  announce_arrival(me.fake_stack, &scheduler_stack_bottom, &scheduler_stack_size);
}

void first_entry() {
  announce_arrival(nullptr, &scheduler_stack_bottom, &scheduler_stack_size);
  (*kernel_body)();
  to_scheduler(State::done);
}

void resume(std::size_t i) {
  Fiber &fiber = fibers[i];
  fiber.state = State::ready;
  current = &fiber;
  announce_switch(&scheduler_fake_stack, stacks[i], stack_bytes);
  theta_simt_switch(&scheduler_stack_pointer, fiber.stack_pointer);
  announce_arrival(scheduler_fake_stack, nullptr, nullptr);
}

void start_block(unsigned threads) {
  while (stacks.size() < threads) {
    void *fresh = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fresh == MAP_FAILED)
      throw theta::Error("simt: no memory for the stack of thread ", stacks.size());
    stacks.push_back(static_cast<std::byte *>(fresh));
  }
  fibers.resize(threads);
  for (unsigned t = 0; t < threads; ++t) {
    Fiber &fiber = fibers[t];
    fiber.index = dim3(t % block_size.x, t / block_size.x % block_size.y, t / block_size.x / block_size.y);
    fiber.warp = t / 32, fiber.lane = t % 32;
    fiber.state = State::ready, fiber.fake_stack = nullptr;
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(stacks[t], stack_bytes); // what the last fiber on this stack left marked
#endif
    void **top = reinterpret_cast<void **>(stacks[t] + stack_bytes - 64);
    *--top = nullptr; // the return address of first_entry: never used
    *--top = reinterpret_cast<void *>(first_entry);
    for (int saved = 0; saved < 6; ++saved)
      *--top = nullptr;
    fiber.stack_pointer = top;
  }
}

std::string name_of(const std::source_location &where) {
  return theta::text(where.file_name(), ":", where.line(), ": kernel launched by ", where.function_name());
}

[[noreturn]] void report_deadlock(const std::source_location &kernel) {
  std::string what;
  for (const State state : {State::at_barrier, State::in_collective, State::done}) {
    const char *where = state == State::at_barrier      ? "wait at a barrier"
                        : state == State::in_collective ? "wait in a warp collective"
                                                        : "have ended";
    const auto is = [&](const Fiber &f) { return f.state == state; };
    const auto count = std::count_if(fibers.begin(), fibers.end(), is);
    if (count)
      what += theta::text(what.empty() ? "" : ", ", count, " threads ", where, " (first: thread ",
                          std::find_if(fibers.begin(), fibers.end(), is) - fibers.begin(), ")");
  }
  throw theta::Error("simt: ", name_of(kernel), ", block (", block_index.x, ",", block_index.y, ",", block_index.z,
                     "): ", what);
}

// When every lane that `fiber` waits for is in the same collective, hands each what all have brought and lets them go
// on. Lanes that a partial last warp does not have count as present, as on the hardware.
bool complete_collective(const Fiber &fiber) {
  const std::size_t first = fiber.warp * 32;
  const unsigned mask = fiber.mask;
  const auto lanes = [&](auto f) {
    for (unsigned lane = 0; lane < 32; ++lane)
      if (mask >> lane & 1 && first + lane < fibers.size())
        f(lane, fibers[first + lane]);
  };
  bool all_here = true;
  lanes([&](unsigned, const Fiber &f) { all_here &= f.state == State::in_collective && f.mask == mask; });
  if (!all_here)
    return false;
  std::uint64_t brought[32];
  std::fill_n(brought, 32, ~std::uint64_t(0));
  lanes([&](unsigned lane, const Fiber &f) { brought[lane] = f.brought; });
  lanes([&](unsigned, Fiber &f) {
    std::copy_n(brought, 32, f.received);
    f.state = State::ready;
  });
  return true;
}

void run_block(const std::source_location &kernel) {
  std::vector<std::size_t> order(fibers.size());
  std::iota(order.begin(), order.end(), 0);
  for (;;) {
    std::shuffle(order.begin(), order.end(), schedule);
    bool progress = false;
    for (const auto i : order) {
      Fiber &fiber = fibers[i];
      if (fiber.state == State::ready || (fiber.state == State::in_collective && complete_collective(fiber))) {
        resume(i);
        progress = true;
      }
    }
    if (progress)
      continue;
    const auto in = [](State state) { return [state](const Fiber &f) { return f.state == state; }; };
    if (std::all_of(fibers.begin(), fibers.end(), in(State::done)))
      return;
    if (!std::all_of(fibers.begin(), fibers.end(), in(State::at_barrier)))
      report_deadlock(kernel);
    for (Fiber &fiber : fibers)
      fiber.state = State::ready;
  }
}

} // namespace

void barrier() { to_scheduler(State::at_barrier); }

const std::uint64_t *exchange(unsigned mask, std::uint64_t value) {
  Fiber &me = self();
  me.mask = mask, me.brought = value;
  to_scheduler(State::in_collective);
  return me.received;
}

void set_schedule(std::uint64_t seed) { schedule.seed(seed); }

void run(const std::source_location &kernel, dim3 grid, dim3 block, std::size_t shared,
         const std::function<void()> &body) {
  const std::size_t threads = std::size_t(block.x) * block.y * block.z;
  if (threads == 0 || threads > 1024 || grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > 65535 || grid.z > 65535)
    throw theta::Error("simt: ", name_of(kernel), ": invalid launch, grid (", grid.x, ",", grid.y, ",", grid.z,
                       "), block (", block.x, ",", block.y, ",", block.z, ")");
  kernel_body = &body, grid_size = grid, block_size = block;
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) {
        block_index = dim3(x, y, z);
        const std::unique_ptr<std::byte[]> bytes(new std::byte[std::max<std::size_t>(shared, 1)]);
        std::fill_n(bytes.get(), shared, std::byte{0xFF}); // every float in it is a NaN
        shared_bytes = bytes.get();
        start_block(unsigned(threads));
        run_block(kernel);
      }
  current = nullptr, shared_bytes = nullptr;
}

} // namespace simt
