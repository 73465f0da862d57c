// Device buffers with their shadow, and the checks behind every access of a kernel. Compiled without sanitizers: it
// looks at memory that they guard.
#include "memory.h"
#include "kernels/device/error.h"
#include "simt.h"
#include <algorithm>
#include <array>
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sys/mman.h>
#include <vector>

extern "C" const char __executable_start, end;

namespace simt {

namespace {

// One access to the bytes `mask` of a word of four. Of accesses to different bytes of a word the last is remembered.
struct Access {
  std::uint32_t time = 0; // 0: never
  std::uint32_t code = 0; // offset of the instruction from the start of the program
  std::uint16_t thread = 0;
  std::uint8_t mask = 0;
  bool atomic : 1 = false;
  bool several : 1 = false; // reads of several threads, none ordered before another
};

struct Word {
  Access write, read;
  std::uint8_t written = 0; // bytes that hold something (shared memory)
};

struct Buffer {
  std::uintptr_t begin, end;
};

constexpr std::size_t region_bytes = std::size_t(1) << 40, page = 4096;
constexpr std::size_t margin = shared_margin;

std::byte *reserve(std::size_t bytes) {
  void *at = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED)
    throw theta::Error("simt: no address space for the emulated device");
  return static_cast<std::byte *>(at);
}

std::byte *open(std::byte *at, std::size_t bytes) {
  if (mprotect(at, bytes, PROT_READ | PROT_WRITE) != 0)
    throw theta::Error("simt: no ", bytes, " bytes of memory left");
  return at;
}

// One stretch of addresses for all buffers that ever are, and words of shadow for it.
struct Region {
  std::byte *base = reserve(region_bytes);
  std::byte *shadow = reserve(region_bytes / 4 * sizeof(Word));
  std::size_t used = 0;
  std::vector<Buffer> buffers; // by address
  std::array<Buffer, 4> recent{};
  unsigned next_recent = 0;

  Word *word(std::uintptr_t at) const {
    return reinterpret_cast<Word *>(shadow) + (at - reinterpret_cast<std::uintptr_t>(base)) / 4;
  }
  // The shadow of [at, at + bytes), in whole pages.
  std::pair<std::byte *, std::size_t> shadow_of(std::uintptr_t at, std::size_t bytes) const {
    const auto first = reinterpret_cast<std::uintptr_t>(word(at)) / page * page;
    const auto last = (reinterpret_cast<std::uintptr_t>(word(at + bytes + 3)) + page) / page * page;
    return {reinterpret_cast<std::byte *>(first), last - first};
  }
  // The buffer that holds `at`, or the last one before it, or null.
  const Buffer *before(std::uintptr_t at) {
    for (const Buffer &b : recent)
      if (at >= b.begin && at < b.end)
        return &b;
    auto after =
        std::upper_bound(buffers.begin(), buffers.end(), at, [](auto a, const Buffer &b) { return a < b.begin; });
    if (after == buffers.begin())
      return nullptr;
    recent[next_recent++ % recent.size()] = *--after;
    return &*after;
  }
};

Region &region() {
  static Region only;
  return only;
}
std::uintptr_t region_begin = -region_bytes; // set with the first buffer

std::uintptr_t shared_begin = margin;
std::size_t shared_size = 0;
std::vector<Word> shared_shadow;

std::uint32_t now = 1, launch_time = 1, block_time = 1, barrier_time = 1;
std::array<std::uint32_t, 32> warp_time{};

void tick() {
  if (++now == 0)
    throw theta::Error("simt: too many barriers for one process");
}

bool ordered_before_me(const Access &a) {
  if (a.time < launch_time)
    return true; // an earlier launch (or never)
  if (a.time < block_time)
    return false; // another block of this one
  return a.time < barrier_time || (a.thread == current->number && !a.several) ||
         (a.thread / 32 == current->warp && !a.several && a.time < warp_time[current->warp]);
}

enum class Kind { read, write, atomic };

const char *verb(Kind kind) {
  return kind == Kind::atomic ? "updated atomically" : kind == Kind::write ? "written" : "read";
}

[[noreturn]] void report_race(const Access &other, bool other_writes, Kind kind, std::uint32_t code, bool shared,
                              std::size_t offset) {
  const auto place = [](std::uint32_t c) { return place_of(&__executable_start + c); };
  const std::string who = other.time < block_time ? "a thread of another block"
                          : other.several         ? theta::text("threads ", other.thread, " and others")
                                                  : theta::text("thread ", other.thread);
  fail(theta::text("race: byte ", offset, " of ", shared ? "shared memory" : "a device buffer", " is ", verb(kind),
                   " at ", place(code), " and was ",
                   verb(other.atomic   ? Kind::atomic
                        : other_writes ? Kind::write
                                       : Kind::read),
                   " by ", who, " at ", place(other.code), " with no barrier between"));
}

// Checks and records an access to bytes `mask` of one word.
void touch(Word &word, std::uint8_t mask, Kind kind, std::uint32_t code, bool shared, std::size_t offset) {
  const bool writes = kind != Kind::read, atomic = kind == Kind::atomic;
  const auto collides = [&](const Access &other) {
    return (other.mask & mask) && !(atomic && other.atomic) && !ordered_before_me(other);
  };
  if (collides(word.write))
    report_race(word.write, true, kind, code, shared, offset);
  if (writes && collides(word.read))
    report_race(word.read, false, kind, code, shared, offset);
  if (shared && kind != Kind::write && (word.written & mask) != mask)
    fail(theta::text("byte ", offset, " of shared memory is read at ", place_of(&__executable_start + code),
                     " and nothing has written it"));
  const auto thread = std::uint16_t(current->number);
  if (writes) {
    const bool same = word.write.time == now && word.write.thread == thread;
    word.write = {now, code, thread, std::uint8_t(mask | (same ? word.write.mask : 0)), atomic, false};
    word.written |= mask;
  } else if ((word.read.mask & mask) && word.read.thread != thread && !ordered_before_me(word.read)) {
    word.read.time = now, word.read.mask &= mask, word.read.several = true;
  } else {
    const bool same = word.read.time == now && word.read.thread == thread;
    word.read = {now, code, thread, std::uint8_t(mask | (same ? word.read.mask : 0)), false, word.read.several && same};
  }
}

template <class WordAt>
void touch_range(WordAt word_at, std::uintptr_t at, std::size_t bytes, Kind kind, std::uint32_t code, bool shared,
                 std::uintptr_t origin) {
  for (std::uintptr_t a = at; a < at + bytes;) {
    const unsigned first = a % 4, last = unsigned(std::min<std::size_t>(4, first + (at + bytes - a)));
    touch(*word_at(a), std::uint8_t((1u << last) - (1u << first)), kind, code, shared, a - origin);
    a += last - first;
  }
}

void check_device(std::uintptr_t at, std::size_t bytes, Kind kind, std::uint32_t code) {
  const Buffer *buffer = region().before(at);
  if (!buffer || at + bytes > buffer->end) {
    const std::string what =
        theta::text(bytes, " bytes are ", verb(kind), " at ", place_of(&__executable_start + code));
    if (!buffer)
      fail(theta::text(what, " before the first device buffer"));
    fail(theta::text(what, ", at offset ", at - buffer->begin, " of a device buffer of ", buffer->end - buffer->begin,
                     " bytes"));
  }
  touch_range([](std::uintptr_t a) { return region().word(a); }, at, bytes, kind, code, false, buffer->begin);
}

void check_shared(std::uintptr_t at, std::size_t bytes, Kind kind, std::uint32_t code) {
  if (at + bytes > shared_begin + shared_size)
    fail(theta::text(bytes, " bytes are ", verb(kind), " at ", place_of(&__executable_start + code), ", at offset ",
                     at - shared_begin, " of ", shared_size, " bytes of shared memory"));
  touch_range([](std::uintptr_t a) { return &shared_shadow[(a - shared_begin) / 4]; }, at, bytes, kind, code, true,
              shared_begin);
}

// Host memory that a kernel has no business with is the heap: what lies in the program, on a fiber's stack or on the
// stack of the launch is its code's constants, its locals and its arguments.
bool is_host_heap(std::uintptr_t at) {
  struct Range {
    std::uintptr_t begin, end;
    bool holds(std::uintptr_t a) const { return a >= begin && a < end; }
  };
  static const Range program{reinterpret_cast<std::uintptr_t>(&__executable_start),
                             reinterpret_cast<std::uintptr_t>(&end)};
  static thread_local const Range stack = [] { // of the host thread that launched
    pthread_attr_t attributes;
    void *begin = nullptr;
    std::size_t size = 0;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &begin, &size);
    pthread_attr_destroy(&attributes);
    return Range{reinterpret_cast<std::uintptr_t>(begin), reinterpret_cast<std::uintptr_t>(begin) + size};
  }();
  if (program.holds(at) || stack.holds(at))
    return false;
  char name[4];
  void *begin = nullptr;
  std::size_t size = 0;
  const char *kind = __asan_locate_address(reinterpret_cast<void *>(at), name, sizeof name, &begin, &size);
  return kind && std::string_view(kind).starts_with("heap");
}

void check(const void *address, std::size_t bytes, Kind kind, const void *return_address) {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  const char *code = static_cast<const char *>(return_address) - 1;
  if (at - region_begin < region_bytes) {
    if (!current)
      fail(theta::text("host code touches a device buffer at ", place_of(code)));
    check_device(at, bytes, kind, std::uint32_t(code - &__executable_start));
  } else if (at - (shared_begin - margin) < shared_size + 2 * margin) {
    check_shared(at, bytes, kind, std::uint32_t(code - &__executable_start));
  } else if (current && !on_fiber_stack(at) && is_host_heap(at)) {
    fail(theta::text(bytes, " bytes of host memory are ", verb(kind), " at ", place_of(code)));
  }
}

} // namespace

std::recursive_mutex &machine() {
  static std::recursive_mutex only;
  return only;
}

void *allocate(std::size_t bytes) {
  const std::lock_guard lock(machine());
  Region &r = region();
  const std::size_t whole = (bytes + page - 1) / page * page;
  if (r.used + whole + page > region_bytes)
    throw theta::Error("simt: no ", bytes, " bytes of addresses left");
  std::byte *at = open(r.base + r.used, std::max(whole, page));
  const auto begin = reinterpret_cast<std::uintptr_t>(at);
  const auto [shadow, shadow_bytes] = r.shadow_of(begin, bytes);
  open(shadow, shadow_bytes);
  r.used += std::max(whole, page) + page; // a page that nobody may touch
  r.buffers.push_back({begin, begin + bytes});
  region_begin = reinterpret_cast<std::uintptr_t>(r.base);
  std::memset(at, 0xFF, bytes);
  __asan_poison_memory_region(at, std::max(whole, page));
  return at;
}

void release(void *data) noexcept {
  const std::lock_guard lock(machine());
  Region &r = region();
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  const auto found =
      std::find_if(r.buffers.begin(), r.buffers.end(), [&](const Buffer &b) { return b.begin == begin; });
  if (found == r.buffers.end())
    return;
  const std::size_t bytes = found->end - begin, whole = std::max(page, (bytes + page - 1) / page * page);
  madvise(data, whole, MADV_DONTNEED);
  mprotect(data, whole, PROT_NONE);
  const auto [shadow, shadow_bytes] = r.shadow_of(begin, bytes);
  madvise(shadow, shadow_bytes, MADV_DONTNEED);
  r.buffers.erase(found);
  r.recent = {};
}

void raw_copy(void *to, const void *from, std::size_t bytes) {
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory"); // no interceptor looks at it
}

void raw_fill(void *to, int byte, std::size_t bytes) {
  asm volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(byte) : "memory");
}

void before_atomic(void *at, std::size_t bytes) { check(at, bytes, Kind::atomic, __builtin_return_address(0)); }
void before_read(const void *at, std::size_t bytes) { check(at, bytes, Kind::read, __builtin_return_address(0)); }
void before_write(void *at, std::size_t bytes) { check(at, bytes, Kind::write, __builtin_return_address(0)); }

void async_copy_began(void *shared, std::size_t bytes) {
  check(shared, bytes, Kind::write, __builtin_return_address(0));
  for (std::size_t word = 0; word < bytes / 4; ++word)
    shared_shadow[(reinterpret_cast<std::uintptr_t>(shared) - shared_begin) / 4 + word].written = 0;
}

void launch_begins() {
  tick();
  launch_time = now;
}

void block_begins(std::byte *shared, std::size_t bytes) {
  tick();
  block_time = barrier_time = now;
  warp_time.fill(now);
  shared_begin = reinterpret_cast<std::uintptr_t>(shared), shared_size = bytes;
  shared_shadow.assign((bytes + 3) / 4, Word{});
}

void block_passed_barrier() {
  tick();
  barrier_time = now;
}

void warp_synchronised(unsigned warp) {
  tick();
  warp_time[warp] = now;
}

} // namespace simt

// What -fsanitize=thread calls.
extern "C" {
#define THETA_SIMT_HOOKS(name, bytes)                                                                                  \
  void __tsan_read##name(void *at) { simt::check(at, bytes, simt::Kind::read, __builtin_return_address(0)); }          \
  void __tsan_write##name(void *at) { simt::check(at, bytes, simt::Kind::write, __builtin_return_address(0)); }
THETA_SIMT_HOOKS(1, 1)
THETA_SIMT_HOOKS(2, 2)
THETA_SIMT_HOOKS(4, 4)
THETA_SIMT_HOOKS(8, 8)
THETA_SIMT_HOOKS(16, 16)
#undef THETA_SIMT_HOOKS
void __tsan_read_range(void *at, std::size_t bytes) {
  simt::check(at, bytes, simt::Kind::read, __builtin_return_address(0));
}
void __tsan_write_range(void *at, std::size_t bytes) {
  simt::check(at, bytes, simt::Kind::write, __builtin_return_address(0));
}
void __tsan_vptr_update(void *, void *) {}
void __tsan_vptr_read(void *) {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit() {}
void __tsan_init() {}
}
