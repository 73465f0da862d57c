#include "data/prefetch.h"
#include "data/zoo_reader.h"
#include "data/zoo_writer.h"
#include "tests/scratch.h"

using namespace theta;
using namespace theta::test;

namespace fs = std::filesystem;

namespace {

ZooFormat small_format(Dtype dtype = Dtype::f32) {
  return {{{"0.weight", {2, 3}, 0}, {"0.bias", {2}, 6}},
          8,
          dtype,
          {{"run", Dtype::i64}, {"loss", Dtype::f32}},
          R"({"key":"k"})"};
}

// A zoo of `rows` networks, `per_shard` a shard; network r is r, r + 0.25, ...
void write_zoo(const fs::path &folder, std::size_t rows, std::size_t per_shard, Dtype dtype = Dtype::f32) {
  ZooWriter writer(folder, small_format(dtype), per_shard);
  for (std::size_t r = 0; r < rows; ++r) {
    std::vector<float> theta(8);
    for (std::size_t i = 0; i < 8; ++i)
      theta[i] = float(r) + 0.25f * float(i);
    writer.append(theta.data(), {std::int64_t(r) * 10, 0.5 * double(r)});
  }
  writer.finish();
}

std::string refused_zoo(const fs::path &folder) {
  try {
    const ZooReader zoo(folder);
    std::vector<float> theta(zoo.parameters());
    for (std::size_t r = 0; r < zoo.rows(); ++r)
      zoo.theta(r, theta.data());
  } catch (const InputError &e) {
    return e.what();
  }
  return "";
}

void put(const fs::path &path, const std::string &bytes) { std::ofstream(path, std::ios::binary) << bytes; }

} // namespace

TEST_CASE("zoo: what is written is read back, across shards, in either storage") {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    const Scratch folder;
    write_zoo(folder.path(), 7, 3, dtype);
    const ZooReader zoo(folder.path());
    CHECK(zoo.rows() == 7);
    CHECK(zoo.parameters() == 8);
    CHECK(zoo.format().layout == small_format().layout);
    CHECK(zoo.format().facts == R"({"key":"k"})");
    std::vector<float> theta(8);
    zoo.theta(5, theta.data());
    CHECK(theta[3] == 5.75f); // exact in bf16 too
    CHECK(zoo.integers("run") == std::vector<std::int64_t>{0, 10, 20, 30, 40, 50, 60});
    CHECK(zoo.floats("loss")[3] == 1.5f);
    CHECK(zoo.corrupt_rows().empty());
    CHECK_THROWS_AS(zoo.theta(7, theta.data()), Error);
    CHECK_THROWS_AS(zoo.integers("loss"), InputError);
    CHECK_THROWS_AS(zoo.floats("other"), InputError);
  }
}

TEST_CASE("zoo: theta comes first in a shard and starts at a multiple of 4096") {
  const Scratch folder;
  write_zoo(folder.path(), 2, 10);
  const Safetensors shard(folder.path() / "shard-00000.safetensors");
  CHECK(shard.tensors().front().name == "theta");
  CHECK((8 + shard.header().size()) % 4096 == 0);
}

TEST_CASE("zoo: without an index it is not complete; a new writer removes the old zoo") {
  const Scratch folder;
  write_zoo(folder.path(), 7, 3);
  {
    ZooWriter writer(folder.path(), small_format(), 10);
    writer.append(std::vector<float>(8).data(), {std::int64_t(1), 1.0});
  } // killed before finish()
  CHECK(refused_zoo(folder.path()).find("not a complete zoo") != std::string::npos);
  write_zoo(folder.path(), 1, 3);
  CHECK(ZooReader(folder.path()).rows() == 1);
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 2);
}

TEST_CASE("zoo: an interrupted writer continues after the shards it has published") {
  const Scratch folder, whole;
  write_zoo(whole.path(), 4, 2);
  const auto row = [](std::size_t r) {
    std::vector<float> theta(8);
    for (std::size_t i = 0; i < 8; ++i)
      theta[i] = float(r) + 0.25f * float(i);
    return theta;
  };
  {
    ZooWriter writer(folder.path(), small_format(), 2);
    for (std::size_t r = 0; r < 3; ++r)
      writer.append(row(r).data(), {std::int64_t(r) * 10, 0.5 * double(r)});
    CHECK(writer.shards() == 1);
    CHECK(writer.rows() == 3);
  }
  ZooWriter writer(folder.path(), small_format(), 2, 1);
  for (std::size_t r = 2; r < 4; ++r)
    writer.append(row(r).data(), {std::int64_t(r) * 10, 0.5 * double(r)});
  writer.finish();
  for (const char *name : {"index.json", "shard-00000.safetensors", "shard-00001.safetensors"})
    CHECK(contents(folder.path() / name) == contents(whole.path() / name));
}

TEST_CASE("zoo: no flipped byte of a header and no truncation goes unnoticed or crashes") {
  const Scratch folder;
  write_zoo(folder.path(), 3, 3);
  const fs::path path = folder.path() / "shard-00000.safetensors";
  const std::string good = contents(path);
  const std::size_t header = 8 + Safetensors(path).header().size();
  for (std::size_t at = 0; at < header; at += at < 1200 ? 1 : 61) // every byte of the JSON, samples of its padding
    for (const char flip : {char(1), char(0x80), char(0xff)}) {
      std::string bad = good;
      bad[at] = char(bad[at] ^ flip);
      put(path, bad);
      CAPTURE(at);
      CHECK(refused_zoo(folder.path()) != "");
    }
  for (std::size_t length = 0; length < good.size(); length += length < 64 || length > header - 16 ? 1 : 97) {
    put(path, good.substr(0, length));
    CAPTURE(length);
    CHECK(refused_zoo(folder.path()) != "");
  }
  put(path, good + "x");
  CHECK(refused_zoo(folder.path()) != "");
}

TEST_CASE("zoo: damage to the index never crashes") {
  const Scratch folder;
  write_zoo(folder.path(), 3, 2);
  const fs::path path = folder.path() / "index.json";
  const std::string good = contents(path);
  for (std::size_t at = 0; at + 1 < good.size(); ++at) { // the last byte is a newline
    std::string bad = good;
    bad[at] = char(bad[at] ^ 0x15);
    put(path, bad);
    refused_zoo(folder.path()); // a space may turn into another space-like byte; no crash is what counts
    put(path, good.substr(0, at));
    CHECK(refused_zoo(folder.path()) != "");
  }
  std::string lie = good;
  lie.replace(lie.find("\"rows\": 3"), 9, "\"rows\": 4");
  put(path, lie);
  CHECK(refused_zoo(folder.path()).find("rows") != std::string::npos);
  fs::remove(folder.path() / "shard-00001.safetensors");
  put(path, good);
  CHECK(refused_zoo(folder.path()).find("shard-00001") != std::string::npos);
}

TEST_CASE("zoo: any flipped byte of the data is found by its checksum") {
  const Scratch folder;
  write_zoo(folder.path(), 3, 3);
  const fs::path path = folder.path() / "shard-00000.safetensors";
  const std::string good = contents(path);
  const std::size_t header = 8 + Safetensors(path).header().size();
  for (std::size_t at = header; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = char(bad[at] ^ 4);
    put(path, bad);
    CAPTURE(at - header);
    CHECK(ZooReader(folder.path()).corrupt_rows().size() == 1);
  }
}

TEST_CASE("prefetch: batches arrive in order, whole, from any start; failures reach the caller") {
  const Scratch folder;
  write_zoo(folder.path(), 20, 6);
  const ZooReader zoo(folder.path());
  std::vector<std::vector<float>> memory(3, std::vector<float>(2 * 8));
  std::vector<float *> staging;
  for (auto &m : memory)
    staging.push_back(m.data());
  Prefetch batches(zoo, staging, 5, 2, [](std::uint64_t batch, std::size_t i) { return (2 * batch + i) % 20; });
  for (std::uint64_t i = 5; i < 40; ++i) {
    const float *batch = batches.next();
    CHECK(batch[0] == float((2 * i) % 20));
    CHECK(batch[8 + 2] == float((2 * i + 1) % 20) + 0.5f);
  }
  Prefetch broken(zoo, staging, 0, 2, [](std::uint64_t, std::size_t) { return std::size_t(99); });
  CHECK_THROWS_AS(broken.next(), Error);
}
