#include "csv.h"
#include "kernels/device/error.h"
#include "mapped_file.h"
#include <csv.h>

namespace theta {

namespace {

struct Records {
  std::vector<std::vector<std::string>> all;
  std::vector<std::string> open;
};

void take_field(void *bytes, std::size_t n, void *to) {
  static_cast<Records *>(to)->open.emplace_back(bytes ? static_cast<const char *>(bytes) : "", n);
}
void take_row(int, void *to) {
  auto &records = *static_cast<Records *>(to);
  records.all.push_back(std::move(records.open));
  records.open.clear();
}

} // namespace

CsvTable read_csv(const std::filesystem::path &path) {
  const std::string where = path.string();
  const MappedFile file(path);
  auto bytes = file.bytes();
  constexpr unsigned char mark[] = {0xef, 0xbb, 0xbf};
  if (bytes.size() >= 3 && std::equal(mark, mark + 3, reinterpret_cast<const unsigned char *>(bytes.data())))
    bytes = bytes.subspan(3);
  if (bytes.size() >= 2 && (bytes[0] == std::byte(0xff) || bytes[0] == std::byte(0xfe)) &&
      (bytes[1] == std::byte(0xff) || bytes[1] == std::byte(0xfe)))
    throw InputError(where, ": found text of 16 bits a character, expected UTF-8");
  csv_parser parser;
  if (csv_init(&parser, 0) != 0)
    throw Error(where, ": the reader of tables cannot start");
  Records records;
  const std::size_t read = csv_parse(&parser, bytes.data(), bytes.size(), take_field, take_row, &records);
  const bool whole = read == bytes.size() && csv_fini(&parser, take_field, take_row, &records) == 0;
  const char *why = csv_strerror(csv_error(&parser));
  csv_free(&parser);
  if (!whole)
    throw InputError(where, ": cannot be read as a table: ", why);
  if (records.all.empty())
    throw InputError(where, ": found no lines, expected a header and a line for each network");
  CsvTable table{std::move(records.all.front()), {}, {}};
  for (std::size_t i = 1; i < records.all.size(); ++i) {
    auto &row = records.all[i];
    if (row.size() != table.header.size())
      throw InputError(where, ": line ", i + 1, ": found ", row.size(), " fields, expected ", table.header.size());
    table.rows.push_back(std::move(row));
    table.lines.push_back(long(i) + 1);
  }
  return table;
}

} // namespace theta
