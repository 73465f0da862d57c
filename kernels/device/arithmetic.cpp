#include "arithmetic.h"
#include "names.h"

namespace theta {

namespace {
constexpr std::array names{"fp32", "bf16"};
}

Arithmetic arithmetic_named(std::string_view name) { return value_named<Arithmetic>(name, names, "arithmetic"); }

const char *name_of(Arithmetic arithmetic) { return names[std::size_t(arithmetic)]; }

} // namespace theta
