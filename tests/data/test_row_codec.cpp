#include "data/row_codec.h"
#include "data/zoo_reader.h"
#include "data/zoo_writer.h"
#include "tests/check.h"
#include "tests/scratch.h"

using namespace theta;
using namespace theta::test;

namespace {

std::vector<std::uint8_t> bytes_of(const std::vector<std::byte> &row, std::size_t first, std::size_t count) {
  std::vector<std::uint8_t> all;
  for (std::size_t i = first; i < first + count; ++i)
    all.push_back(std::uint8_t(row[i]));
  return all;
}

float float_at(const std::vector<std::byte> &row, std::size_t at) {
  float x;
  std::memcpy(&x, row.data() + at, sizeof x);
  return x;
}

std::vector<float> part_of(const std::vector<float> &of, std::size_t first, std::size_t count) {
  return {of.begin() + std::ptrdiff_t(first), of.begin() + std::ptrdiff_t(first + count)};
}

} // namespace

TEST_CASE("row codec: bytes are what row_codec.h says, to the bit") {
  const Shape matrix{2, 3};
  // 1 0 −1 | 0.5·(1 1 0): by rows, then what is plain
  const std::vector<float> theta{1, 0, -1, 0.5f, 0.5f, 0, 7, 8};
  const RowCodec ternary({matrix, {2}}, {{Code::ternary, CodeScale::rows, 1}, {}}, 0, Dtype::f32, "t");
  auto row = ternary.encode(theta.data());
  CHECK(row.size() == 4 * 4 + 2);
  CHECK(float_at(row, 0) == 1.0f);
  CHECK(float_at(row, 4) == 0.5f);
  CHECK(float_at(row, 8) == 7.0f);
  CHECK(float_at(row, 12) == 8.0f);
  // 2 1 0 2 2 | 1, least digit first
  CHECK(bytes_of(row, 16, 2) == std::vector<std::uint8_t>{2 + 3 * 1 + 27 * 2 + 81 * 2, 1});
  std::vector<float> back(8);
  ternary.decode(row.data(), back.data());
  CHECK(back == theta);
  std::vector<std::int8_t> codes(8);
  ternary.codes(row.data(), codes.data());
  CHECK(codes == std::vector<std::int8_t>{1, 0, -1, 1, 1, 0, 0, 0});

  // by columns: 7·0.25, 1·2, −3·0.5
  const std::vector<float> fours{1.75f, 2, -1.5f, -0.25f, -14, 3.5f};
  const RowCodec int4({matrix}, {{Code::int4, CodeScale::columns, 1}}, 0, Dtype::f32, "t");
  row = int4.encode(fours.data());
  CHECK(row.size() == 3 * 4 + 3);
  CHECK(float_at(row, 0) == 0.25f);
  CHECK(float_at(row, 4) == 2.0f);
  CHECK(float_at(row, 8) == 0.5f);
  CHECK(bytes_of(row, 12, 3) ==
        std::vector<std::uint8_t>{15 | 9 << 4, 5 | 7 << 4, 1 | 15 << 4}); // code + 8, the first low
  int4.decode(row.data(), back.data());
  CHECK(std::vector<float>(back.begin(), back.begin() + 6) == fours);

  // one scale of all, codes as they are
  const RowCodec int8({matrix}, {{Code::int8, CodeScale::whole, 1}}, 0, Dtype::bf16, "t");
  const std::vector<float> eights{127, -3, 1, 0, 64, -127};
  row = int8.encode(eights.data());
  CHECK(row.size() == 2 + 6);
  CHECK(bytes_of(row, 2, 6) == std::vector<std::uint8_t>{127, 253, 1, 0, 64, 129});

  // the three largest of six, the first of equal ones
  const RowCodec kept({matrix, {1}}, {{Code::kept, CodeScale::one, 1}, {}}, 3, Dtype::f32, "t");
  const std::vector<float> many{0.1f, -2, 0.5f, 0.5f, 3, -0.5f, 9};
  row = kept.encode(many.data());
  CHECK(row.size() == 4 * 4 + 1);
  CHECK(float_at(row, 0) == 9.0f);
  CHECK(float_at(row, 4) == -2.0f);
  CHECK(float_at(row, 8) == 0.5f);
  CHECK(float_at(row, 12) == 3.0f);
  CHECK(bytes_of(row, 16, 1) == std::vector<std::uint8_t>{1 << 1 | 1 << 2 | 1 << 4});
  kept.decode(row.data(), back.data());
  CHECK(std::vector<float>(back.begin(), back.begin() + 7) == std::vector<float>{0, -2, 0.5f, 0, 3, 0, 9});
}

TEST_CASE("row codec: what is in the form stays; what is not goes to the nearest of it") {
  for (const auto &[code, most] : {std::pair{Code::ternary, 1}, {Code::int4, 7}, {Code::int8, 127}})
    for (const CodeScale scale : {CodeScale::rows, CodeScale::blocks, CodeScale::columns, CodeScale::whole}) {
      CAPTURE(most);
      CAPTURE(name_of(scale));
      const RowCodec codec({{5, 6, 7}}, {{code, scale, scale == CodeScale::blocks ? 4 : 7}}, 0, Dtype::f32, "t");
      auto theta = narrowed<float>(random_values<double>(210, 5)), first = theta;
      codec.round(theta.data());
      double before = 0, after = 0, distance = 0;
      for (std::size_t i = 0; i < theta.size(); ++i)
        before += first[i] * first[i], after += theta[i] * theta[i], distance += std::pow(first[i] - theta[i], 2);
      CHECK(distance < (most == 1 ? 0.35 : most == 7 ? 0.02 : 1e-4) * before);
      CHECK(distance + after == doctest::Approx(before).epsilon(most == 1 ? 1e-3 : 1e-2)); // scales of least squares
      auto again = theta;
      codec.round(again.data());
      CHECK(again == theta);
      // of another scale a group it is as exact
      for (float &x : again)
        x *= 0.37f;
      auto scaled = again;
      codec.round(scaled.data());
      CHECK(relative_error(scaled, again) <= std::ldexp(1.0, -16)); // half of a scale's last bit
    }
  // the best ternary of five weights, of all that there are
  const std::vector<float> weights{0.9f, -1.1f, 0.4f, 0.05f, -0.2f};
  const float found = best_scale(weights, 1, false);
  double least = INFINITY;
  const auto error = [&](double scale) {
    double sum = 0;
    for (const float w : weights)
      sum += std::pow(w - scale * std::clamp(std::nearbyint(w / scale), -1.0, 1.0), 2);
    return sum;
  };
  for (double scale = 0.01; scale < 2; scale += 0.001)
    least = std::min(least, error(scale));
  CHECK(error(found) <= least + 1e-6);
  CHECK(std::isnan(best_scale(std::vector<float>{1, INFINITY}, 7, false)));
  CHECK(best_scale(std::vector<float>{0, 0}, 7, false) == 0);
}

TEST_CASE("row codec: a zoo of codes is written and read back, whole and in parts; damage and nonsense are noticed") {
  const Scratch folder;
  ZooFormat format{{{"0.weight", {3, 5}, 0}, {"0.bias", {3}, 15}}, 18,   Dtype::f32,
                   {{"run", Dtype::i64}, {"loss", Dtype::f32}},    "{}", {{Code::ternary, CodeScale::rows, 1}, {}}};
  CHECK(row_bytes(format) == 3 * 4 + 3 * 4 + 3);
  const auto network = [](std::size_t r) {
    std::vector<float> theta(18);
    for (std::size_t i = 0; i < 15; ++i)
      theta[i] = float(int((i * 7 + r) % 3) - 1) * float(1 + i / 5 + r);
    theta[15] = float(r), theta[16] = 1, theta[17] = -1;
    return theta;
  };
  {
    ZooWriter writer(folder.path(), format, 4);
    for (std::size_t r = 0; r < 4; ++r)
      writer.append(network(r).data(), {std::int64_t(r), 0.5});
    for (const std::size_t r : {2, 0, 1}) { // of the next shard, in parts and in any order
      writer.write(r, 10, 8, network(4 + r).data() + 10);
      writer.write(r, 0, 10, network(4 + r).data());
    }
    std::vector<float> piece(5);
    writer.read(1, 13, 5, piece.data());
    CHECK(piece == part_of(network(5), 13, 5));
    for (std::size_t r = 4; r < 7; ++r)
      writer.describe({std::int64_t(r), 0.5});
    writer.finish();
  }
  for (const auto &entry : std::filesystem::directory_iterator(folder.path()))
    CHECK(entry.path().filename().string().find("rows") == std::string::npos);
  const ZooReader zoo(folder.path());
  CHECK(zoo.rows() == 7);
  CHECK(zoo.format().codecs == format.codecs);
  std::vector<float> theta(18);
  std::vector<std::int8_t> codes(18);
  for (std::size_t r = 0; r < 7; ++r) {
    zoo.theta(r, theta.data());
    CHECK(theta == network(r));
    zoo.theta(r, 3, 14, theta.data());
    CHECK(part_of(theta, 0, 14) == part_of(network(r), 3, 14));
    zoo.codes(r, codes.data());
    CHECK(codes[6] == int((6 * 7 + r) % 3) - 1);
  }
  CHECK(zoo.integers("run") == std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6});
  CHECK(zoo.corrupt_rows().empty());
  // A bit of a code of row 2 flips: the last tensor of the shard.
  const auto shard = folder.path() / zoo_files::shard(0);
  std::fstream file(shard, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(-int(4 * 3) + 2 * 3, std::ios::end);
  const char flipped = char(file.peek() ^ 1);
  file.seekp(-int(4 * 3) + 2 * 3, std::ios::end);
  file.put(flipped);
  file.close();
  CHECK(ZooReader(folder.path()).corrupt_rows() == std::vector<std::size_t>{2});

  const auto refused = [&](std::vector<Codec> codecs, std::size_t kept) {
    ZooFormat wrong = format;
    wrong.codecs = std::move(codecs), wrong.kept = kept;
    try {
      zoo_format_from(text_of(wrong), "here");
    } catch (const InputError &e) {
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(refused({{Code::ternary, CodeScale::rows, 1}}, 0).find("expected one for each of 2 tensors") !=
        std::string::npos);
  CHECK(refused({{Code::int4, CodeScale::columns, 2}, {}}, 0).find("columns of 2 in rows of 5") != std::string::npos);
  CHECK(refused({{Code::kept, CodeScale::one, 1}, {}}, 16).find("at most 15") != std::string::npos);
  CHECK(refused({{Code::plain, CodeScale::rows, 1}, {}}, 0).find("expected none") != std::string::npos);
}
