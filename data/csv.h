// Tables as people write them (RFC 4180, through libcsv): quoted fields, commas and line breaks in them, a byte-order
// mark, either kind of line end, blank lines, spaces around fields.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace theta {

struct CsvTable {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows; // of as many fields as the header
  std::vector<long> lines;                    // where in the file each row stands, counting records from 1
};

// Throws InputError where there is no header, or a row has another number of fields.
CsvTable read_csv(const std::filesystem::path &);

} // namespace theta
