// The element types of tensors in files and in memory plans.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace theta {

// The first nine are those of theta's own files; the others are known so that files of others can be read around them.
enum class Dtype { f32, f64, bf16, f16, u8, u32, i32, i64, u64, boolean, i8, i16, u16, f8_e4m3, f8_e5m2 };

std::size_t size_of(Dtype);
const char *name_of(Dtype);                            // safetensors' name: "F32", "BF16", ...
bool dtype_named(std::string_view name, Dtype &dtype); // false: no such type

template <class T> struct DtypeOf;
template <> struct DtypeOf<float> { static constexpr Dtype value = Dtype::f32; };
template <> struct DtypeOf<double> { static constexpr Dtype value = Dtype::f64; };
template <> struct DtypeOf<std::uint8_t> { static constexpr Dtype value = Dtype::u8; };
template <> struct DtypeOf<std::uint32_t> { static constexpr Dtype value = Dtype::u32; };
template <> struct DtypeOf<std::int32_t> { static constexpr Dtype value = Dtype::i32; };
template <> struct DtypeOf<std::int64_t> { static constexpr Dtype value = Dtype::i64; };
template <> struct DtypeOf<std::uint64_t> { static constexpr Dtype value = Dtype::u64; };
template <class T> inline constexpr Dtype dtype_of = DtypeOf<T>::value;

} // namespace theta
