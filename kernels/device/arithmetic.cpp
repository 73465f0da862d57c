#include "arithmetic.h"
#include "names.h"
#if defined(__AMX_BF16__) && defined(__AMX_TILE__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace theta {

namespace {

constexpr std::array names{"fp32", "bf16"};

Bf16Unit best_unit() {
#if defined(__AVX512BF16__) && defined(__AVX512BW__)
  constexpr Bf16Unit of_vectors = Bf16Unit::vectors;
#else
  constexpr Bf16Unit of_vectors = Bf16Unit::widened;
#endif
  return has_tiles() ? Bf16Unit::tiles : of_vectors;
}

Bf16Unit &unit() {
  static Bf16Unit in_use = best_unit();
  return in_use;
}

} // namespace

Arithmetic arithmetic_named(std::string_view name) { return value_named<Arithmetic>(name, names, "arithmetic"); }

// Linux gives a process the tiles' state when it asks (Documentation/arch/x86/xstate.rst).
bool has_tiles() {
#if defined(__AMX_BF16__) && defined(__AMX_TILE__)
  constexpr long request_permission = 0x1023, tile_data = 18;
  static const bool given = syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
  return given;
#else
  return false;
#endif
}

Bf16Unit bf16_unit() { return unit(); }
void use_bf16_unit(Bf16Unit other) { unit() = other; }

const char *name_of(Arithmetic arithmetic) { return names[std::size_t(arithmetic)]; }

} // namespace theta
