#include "data/atomic_file.h"
#include "kernels/device/bf16.h"
#include "tests/scratch.h"
#include <cstring>
#include <fstream>

using namespace theta;
using namespace theta::test;

namespace {

// A file of 8 bytes of length, `header`, and `data`.
std::filesystem::path raw(const Scratch &folder, const std::string &header, const std::string &data) {
  const auto path = folder.path() / "raw.safetensors";
  std::ofstream file(path, std::ios::binary);
  const std::uint64_t length = header.size();
  file.write(reinterpret_cast<const char *>(&length), 8);
  file << header << data;
  return path;
}

std::string refusal(const std::filesystem::path &path) {
  try {
    const Safetensors file(path);
  } catch (const InputError &e) {
    return e.what();
  }
  return "";
}

} // namespace

TEST_CASE("safetensors: what is written is read back") {
  const Scratch folder;
  const std::vector<float> a{1, 2, 3, 4, 5, 6};
  const std::vector<std::int64_t> b{-7};
  const auto path = folder.path() / "x.safetensors";
  write_safetensors(
      path, {{"a", Dtype::f32, {2, 3}, a.data()}, {"b", Dtype::i64, {1}, b.data()}, {"none", Dtype::f32, {0}, nullptr}},
      {{"note", "two \"words\""}});
  const Safetensors file(path);
  CHECK(file.read<float>("a", {2, 3}) == a);
  CHECK(file.read<std::int64_t>("b") == b);
  CHECK(file.read<float>("none").empty());
  CHECK(file.metadata("note") == "two \"words\"");
  CHECK_THROWS_AS(file.read<double>("a"), InputError);
  CHECK_THROWS_AS(file.read<float>("a", {6}), InputError);
  CHECK_THROWS_AS(file.read<float>("c"), InputError);
  CHECK_THROWS_AS(file.metadata("other"), InputError);
  CHECK_THROWS_AS(Safetensors(folder.path() / "missing"), InputError);
  CHECK_THROWS_AS(Safetensors(folder.path()), InputError);
}

TEST_CASE("safetensors: everything that a reader must reject is rejected") {
  const Scratch folder;
  const std::string good = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", eight(8, 'x');
  CHECK(refusal(raw(folder, good, eight)) == "");
  const std::pair<std::string, std::string> bad[] = {
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,9]}})", "do not span"},
      {R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", "do not span"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", "do not span"},
      {R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", "shape"},
      {R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", "shape"},
      {R"({"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}})", "dtype"},
      {R"({"a":{"dtype":7,"shape":[2],"data_offsets":[0,8]}})", "dtype"},
      {R"({"a":{"dtype":"F32","shape":[2]}})", "data_offsets"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}})", "data_offsets"},
      {R"({"a":{"dtype":"F32","shape":"2","data_offsets":[0,8]}})", "shape"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "end at byte 4"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", "gap"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       "overlap"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
       "twice"},
      {R"({"__metadata__":{"x":1},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "string"},
      {R"({"__metadata__":[],"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "object of strings"},
      {R"([])", "object"},
      {R"({"a")", "JSON"},
      {std::string(40, '[') + std::string(40, ']'), "nested"},
      {"\xff\xfe", "JSON"},
  };
  for (const auto &[header, reason] : bad) {
    CAPTURE(header);
    const auto message = refusal(raw(folder, header, eight));
    CAPTURE(message);
    CHECK(message.find(reason) != std::string::npos);
    CHECK(message.find("raw.safetensors") != std::string::npos);
  }
  std::ofstream(folder.path() / "short") << "1234";
  CHECK(refusal(folder.path() / "short").find("4 bytes") != std::string::npos);
  std::ofstream(folder.path() / "empty");
  CHECK(refusal(folder.path() / "empty") != "");
  CHECK(refusal(raw(folder, good, "")) != "");
  std::ofstream file(folder.path() / "long", std::ios::binary);
  file << std::string(8, '\xff') << "{}";
  file.close();
  CHECK(refusal(folder.path() / "long").find("header length") != std::string::npos);
}

TEST_CASE("atomic files: whole or not at all") {
  const Scratch folder;
  const auto path = folder.path() / "x";
  write_file(path, "old");
  {
    AtomicFile file(path);
    file.write(0, "half", 4);
  } // never published
  CHECK(contents(path) == "old");
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
  write_file(path, "new");
  CHECK(contents(path) == "new");
  CHECK_THROWS_AS(AtomicFile(folder.path() / "no" / "such" / "folder"), Error);
}

TEST_CASE("bf16: rounding to nearest even, and NaN") {
  CHECK(to_float(to_bf16(1.0f)) == 1.0f);
  CHECK(to_float(to_bf16(1.00390625f)) == 1.0f);      // half way: to even
  CHECK(to_float(to_bf16(1.01171875f)) == 1.015625f); // half way: to even, upwards
  CHECK(to_float(to_bf16(-3.1415926f)) == -3.140625f);
  CHECK(std::isnan(to_float(to_bf16(std::numeric_limits<float>::quiet_NaN()))));
  CHECK(std::isinf(to_float(to_bf16(3.4e38f))));
}
