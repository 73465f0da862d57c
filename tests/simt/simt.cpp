// The scheduler of the emulator: fibers, barriers and warp collectives. Compiled without sanitizers, as memory.cpp.
#include "simt.h"
#include <algorithm>
#include <array>
#include <cstdlib>
#include <deque>
#include <limits>
#include <numeric>
#include <random>
#include <sanitizer/common_interface_defs.h>
#include <span>
#include <sys/mman.h>
#include <vector>

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

constexpr std::size_t stack_bytes = 64 << 10, guard_bytes = 4096;
constexpr unsigned most_threads = 1024;
enum class State { ready, at_barrier, in_collective, done, failed };

struct AsyncCopy {
  void *to;
  const void *from;
  unsigned valid, group;
};

struct Fiber : Thread {
  State state;
  void *stack_pointer;
  void *fake_stack;      // ASan's shadow of the stack
  const char *operation; // the collective it waits in,
  unsigned mask;         // the lanes that this waits for,
  std::byte brought[most_brought];
  Lanes *received; // and what they all brought to the last one
  std::deque<AsyncCopy> copies;
  unsigned copy_groups; // committed
};

// The stacks of all threads lie in a row, a page that nobody may touch below each.
struct Stacks {
  std::byte *base;
  Stacks() {
    void *at = mmap(nullptr, most_threads * stack_bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
      throw theta::Error("simt: no memory for the stacks of threads");
    base = static_cast<std::byte *>(at);
    for (unsigned t = 0; t < most_threads; ++t)
      mprotect((*this)[t], guard_bytes, PROT_NONE);
  }
  std::byte *operator[](std::size_t thread) const { return base + thread * stack_bytes; }
};

Stacks &stacks() {
  static Stacks only;
  return only;
}

std::array<Fiber, most_threads> all_fibers; // in the program's own memory: kernels read their thread's index here
std::span<Fiber> fibers;                    // those of the running block
// A thread reads from one of these at a time, and at most one more a warp is being filled.
std::array<Lanes, most_threads + 32> lanes_pool;
std::vector<Lanes *> lanes_free;
Body body;
const Launched *launched;
std::string failure;
void *scheduler_stack_pointer, *scheduler_fake_stack;
const void *scheduler_stack_bottom;
std::size_t scheduler_stack_size;
// The order of threads; THETA_SIMT_SEED chooses another for a whole run.
std::mt19937_64 schedule = [] {
  const char *seed = std::getenv("THETA_SIMT_SEED");
  return std::mt19937_64(seed ? std::strtoull(seed, nullptr, 10) : 1);
}();

Fiber &self() { return const_cast<Fiber &>(static_cast<const Fiber &>(*current)); }

void give_back(Fiber &fiber) {
  if (fiber.received && --fiber.received->readers == 0)
    lanes_free.push_back(fiber.received);
  fiber.received = nullptr;
}

// AddressSanitizer must hear of every change of stack; the fake stack is null when the fiber left never runs again.
void to_scheduler(State why) {
  Fiber &me = self();
  me.state = why;
  __sanitizer_start_switch_fiber(why == State::done ? nullptr : &me.fake_stack, scheduler_stack_bottom,
                                 scheduler_stack_size);
  theta_simt_switch(&me.stack_pointer, scheduler_stack_pointer);
  __sanitizer_finish_switch_fiber(me.fake_stack, &scheduler_stack_bottom, &scheduler_stack_size);
}

void first_entry() {
  __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack_bottom, &scheduler_stack_size);
  body.call(body.context);
  if (!self().copies.empty())
    fail("ends with an asynchronous copy that it has not waited for");
  give_back(self());
  to_scheduler(State::done);
}

void resume(std::size_t i) {
  Fiber &fiber = fibers[i];
  fiber.state = State::ready;
  current = &fiber;
  __sanitizer_start_switch_fiber(&scheduler_fake_stack, stacks()[i], stack_bytes);
  theta_simt_switch(&scheduler_stack_pointer, fiber.stack_pointer);
  __sanitizer_finish_switch_fiber(scheduler_fake_stack, nullptr, nullptr);
}

void start_block(unsigned threads) {
  fibers = std::span(all_fibers).first(threads);
  for (unsigned t = 0; t < threads; ++t) {
    Fiber &fiber = fibers[t];
    fiber.index = dim3(t % block_size.x, t / block_size.x % block_size.y, t / block_size.x / block_size.y);
    fiber.number = t, fiber.warp = t / 32, fiber.lane = t % 32;
    fiber.state = State::ready, fiber.fake_stack = nullptr, fiber.received = nullptr;
    fiber.copies.clear(), fiber.copy_groups = 0;
    void **top = reinterpret_cast<void **>(stacks()[t] + stack_bytes - 64);
    *--top = nullptr; // the return address of first_entry: never used
    *--top = reinterpret_cast<void *>(first_entry);
    for (int saved = 0; saved < 6; ++saved)
      *--top = nullptr;
    fiber.stack_pointer = top;
  }
}

std::string name(const dim3 &d) { return theta::text("(", d.x, ",", d.y, ",", d.z, ")"); }

// Ends the launch with a report.
[[noreturn]] void report(const std::string &what) {
  const std::string message =
      theta::text("simt: ", function_at(launched->kernel), ", launched at ", launched->where.file_name(), ":",
                  launched->where.line(), ", block ", name(block_index), ": ", what);
  current = nullptr;
  throw theta::Error(message);
}

[[noreturn]] void report_deadlock() {
  std::string what;
  for (const State state : {State::at_barrier, State::in_collective, State::done}) {
    const auto is = [&](const Fiber &f) { return f.state == state; };
    const auto count = std::count_if(fibers.begin(), fibers.end(), is);
    if (!count)
      continue;
    const auto first = std::find_if(fibers.begin(), fibers.end(), is);
    const std::string where = state == State::at_barrier      ? "wait at __syncthreads"
                              : state == State::in_collective ? theta::text("wait in ", first->operation)
                                                              : "have ended";
    what += theta::text(what.empty() ? "" : ", ", count, " threads ", where, " (first: thread ", first->number, ")");
  }
  report("divergence: " + what);
}

Lanes *take_lanes() {
  Lanes *taken = lanes_free.back();
  lanes_free.pop_back();
  return taken;
}

// When every lane that `fiber` waits for is in the same collective, hands each what all have brought and lets them go
// on. Lanes that a partial last warp does not have count as present, as on the hardware.
bool complete_collective(const Fiber &fiber) {
  const std::size_t first = fiber.warp * 32;
  const unsigned mask = fiber.mask;
  bool all_here = true;
  const auto lanes = [&](auto f) {
    for (unsigned lane = 0; lane < 32; ++lane)
      if (mask >> lane & 1 && first + lane < fibers.size())
        f(lane, fibers[first + lane]);
  };
  lanes([&](unsigned, const Fiber &f) {
    all_here &= f.state == State::in_collective && f.mask == mask && f.operation == fiber.operation;
  });
  if (!all_here)
    return false;
  Lanes *all = take_lanes();
  all->readers = 0;
  if (mask != ~0u || first + 32 > fibers.size())
    std::memset(all->brought, 0xFF, sizeof all->brought);
  const std::string_view operation = fiber.operation;
  lanes([&](unsigned lane, Fiber &f) {
    std::memcpy(all->brought[lane], f.brought, most_brought);
    f.received = all, ++all->readers;
    f.state = State::ready;
  });
  if (operation == "__syncwarp") {
    bool whole = true; // every lane that still runs is in the mask
    for (std::size_t t = first; t < std::min(first + 32, fibers.size()); ++t)
      whole &= (mask >> (t - first) & 1) || fibers[t].state == State::done;
    if (whole)
      warp_synchronised(fiber.warp);
  }
  return true;
}

void run_block() {
  static std::vector<std::size_t> order;
  order.resize(fibers.size());
  std::iota(order.begin(), order.end(), 0);
  for (;;) {
    std::shuffle(order.begin(), order.end(), schedule);
    bool progress = false;
    for (const auto i : order) {
      Fiber &fiber = fibers[i];
      if (fiber.state == State::ready || (fiber.state == State::in_collective && complete_collective(fiber))) {
        resume(i);
        progress = true;
        if (fiber.state == State::failed)
          report(theta::text("thread ", name(fiber.index), ": ", failure));
      }
    }
    if (progress)
      continue;
    const auto in = [](State state) { return [state](const Fiber &f) { return f.state == state; }; };
    if (std::all_of(fibers.begin(), fibers.end(), in(State::done)))
      return;
    if (!std::all_of(fibers.begin(), fibers.end(), in(State::at_barrier)))
      report_deadlock();
    block_passed_barrier();
    for (Fiber &fiber : fibers)
      fiber.state = State::ready;
  }
}

} // namespace

bool on_fiber_stack(std::uintptr_t at) {
  return at - reinterpret_cast<std::uintptr_t>(stacks().base) < most_threads * stack_bytes;
}

void fail(const std::string &what) {
  if (!current) {
    std::fprintf(stderr, "simt: %s\n", what.c_str());
    std::abort();
  }
  failure = what;
  to_scheduler(State::failed);
  std::abort(); // never resumed
}

void barrier() { to_scheduler(State::at_barrier); }

const Lanes &exchange(const char *operation, unsigned mask, const void *mine, std::size_t bytes) {
  Fiber &me = self();
  if (!(mask >> me.lane & 1))
    fail(theta::text(operation, ": the mask ", mask, " leaves out the calling lane ", me.lane));
  give_back(me);
  me.operation = operation, me.mask = mask;
  std::memcpy(me.brought, mine, bytes);
  to_scheduler(State::in_collective);
  return *me.received;
}

void warp_barrier(unsigned mask) { exchange("__syncwarp", mask, nullptr, 0); }

void set_schedule(std::uint64_t seed) { schedule.seed(seed); }

void async_copy(void *shared, const void *global, unsigned valid) {
  async_copy_began(shared, 16);
  raw_fill(shared, 0xFF, 16);
  if (valid)
    before_read(global, valid);
  self().copies.push_back({shared, global, valid, self().copy_groups});
}

void async_commit() { ++self().copy_groups; }

void async_wait(unsigned groups_left) {
  Fiber &me = self();
  while (!me.copies.empty() && me.copies.front().group + groups_left < me.copy_groups) {
    const AsyncCopy copy = me.copies.front();
    me.copies.pop_front();
    before_write(copy.to, 16);
    raw_copy(copy.to, copy.from, copy.valid);
    raw_fill(static_cast<std::byte *>(copy.to) + copy.valid, 0, 16 - copy.valid);
  }
}

namespace {

float bf16_to_float(std::uint32_t bits) { return std::bit_cast<float>(bits << 16); }
float half_of(std::uint32_t pair, int which) { return bf16_to_float(which ? pair >> 16 : pair & 0xFFFF); }

struct MmaOperands {
  std::uint32_t a[4], b[2];
  float c[4];
};

} // namespace

// Fragments as the PTX manual lays them out: with group = lane / 4 and pair = lane % 4, a lane holds of A the rows
// group and group + 8 at columns 2·pair and 2·pair + 8 (two each), of B the column group at those rows, and of C and D
// rows group and group + 8 at columns 2·pair, 2·pair + 1.
void mma_m16n8k16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  MmaOperands mine;
  std::copy_n(a, 4, mine.a), std::copy_n(b, 2, mine.b), std::copy_n(d, 4, mine.c);
  const Lanes &all = exchange("mma.sync", ~0u, mine);
  const auto operands = [&](unsigned lane) -> const MmaOperands & {
    return *reinterpret_cast<const MmaOperands *>(all.brought[lane]);
  };
  const unsigned group = current->lane / 4, pair = current->lane % 4;
  for (unsigned r = 0; r < 2; ++r)
    for (unsigned c = 0; c < 2; ++c) {
      float sum = mine.c[2 * r + c];
      for (unsigned k = 0; k < 16; ++k) {
        const unsigned holder = k % 8 / 2, half = k / 8;
        sum += half_of(operands(group * 4 + holder).a[r + 2 * half], int(k % 2)) *
               half_of(operands((2 * pair + c) * 4 + holder).b[half], int(k % 2));
      }
      d[2 * r + c] = sum;
    }
}

void load_matrices(std::uint32_t (&r)[4], const void *row, bool transposed) {
  if (reinterpret_cast<std::uintptr_t>(row) % 16)
    fail("ldmatrix: a row's address is not a multiple of 16");
  before_read(row, 16);
  const Lanes &all = exchange(transposed ? "ldmatrix.trans" : "ldmatrix", ~0u, row);
  const unsigned group = current->lane / 4, pair = current->lane % 4;
  for (unsigned m = 0; m < 4; ++m) {
    std::uint16_t two[2];
    for (unsigned e = 0; e < 2; ++e) {
      const unsigned from = transposed ? 2 * pair + e : group, element = transposed ? group : 2 * pair + e;
      two[e] = all.of<const std::uint16_t *>(8 * m + from)[element];
    }
    r[m] = two[0] | std::uint32_t(two[1]) << 16;
  }
}

void run(const Launched &kernel, dim3 grid, dim3 block, std::size_t shared, const Body &kernel_body) {
  const std::lock_guard lock(machine());
  launched = &kernel, body = kernel_body, grid_size = grid, block_size = block, block_index = {0, 0, 0};
  const std::size_t threads = std::size_t(block.x) * block.y * block.z;
  if (threads == 0 || threads > most_threads || grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7FFFFFFFu ||
      grid.y > 65535 || grid.z > 65535 || shared > (227u << 10))
    report(theta::text("impossible launch: grid ", name(grid), " of blocks ", name(block), ", ", shared,
                       " bytes of shared memory"));
  static std::vector<std::byte> bytes;
  bytes.resize(shared + 2 * shared_margin + 16);
  std::byte *inner = bytes.data() + shared_margin;
  inner += -reinterpret_cast<std::uintptr_t>(inner) & 15;
  lanes_free.clear();
  for (Lanes &lanes : lanes_pool)
    lanes_free.push_back(&lanes);
  launch_begins();
  std::vector<unsigned> order(std::size_t(grid.x) * grid.y * grid.z);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), schedule);
  for (const unsigned b : order) {
    block_index = dim3(b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y);
    std::memset(inner, 0xFF, shared); // every float in it is a NaN
    shared_bytes = inner;
    block_begins(inner, shared);
    start_block(unsigned(threads));
    run_block();
  }
  current = nullptr, shared_bytes = nullptr;
}

} // namespace simt

// CUDA's fast sine and cosine; the C library declares the name and keeps the function to itself.
extern "C" void __sincosf(float x, float *sine, float *cosine) noexcept { *sine = sinf(x), *cosine = cosf(x); }
