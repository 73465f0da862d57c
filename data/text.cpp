#include "text.h"
#include "kernels/device/error.h"
#include "mapped_file.h"
#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <set>

namespace theta {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t documents_parted = 10, shortest_block = 200;

// The letter under its accents, of U+00C0 to U+00FF twice (capitals, small ones) and U+0100 to U+017F; a space: none.
constexpr std::string_view latin1 = "aaaaaaaceeeeiiiidnooooo ouuuuyts";
constexpr std::string_view latin_a = "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkkllllllllll"
                                     "nnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";
static_assert(latin1.size() == 32 && latin_a.size() == 128);
constexpr std::string_view punctuation = ".,;:!?'\"()/=_+*%@-";

// The next code point; a byte that begins none is itself.
char32_t next_of(std::string_view text, std::size_t &at) {
  const auto byte = [&](std::size_t i) { return std::uint32_t(std::uint8_t(text[i])); };
  const std::uint32_t first = byte(at++);
  const int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : first >= 0xC0 ? 1 : 0;
  if (more == 0 || at + std::size_t(more) > text.size())
    return first;
  std::uint32_t code = first & (0x3Fu >> more);
  for (int i = 0; i < more; ++i)
    if ((byte(at + std::size_t(i)) & 0xC0) != 0x80)
      return first;
  for (int i = 0; i < more; ++i)
    code = code << 6 | (byte(at++) & 0x3F);
  return code;
}

// What a code point becomes; nothing: it goes.
std::string_view ascii_of(char32_t c) {
  static constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz";
  const auto one_of = [](std::string_view all, std::size_t i) { return all.substr(i, 1); };
  if (c >= 'a' && c <= 'z')
    return one_of(letters, c - 'a');
  if (c >= 'A' && c <= 'Z')
    return one_of(letters, c - 'A');
  if (c >= '0' && c <= '9')
    return "0";
  if (c == '\n' || c == '\f')
    return c == '\n' ? "\n" : "\f";
  if (c < 0x80) {
    const auto at = punctuation.find(char(c));
    return at == punctuation.npos ? " " : one_of(punctuation, at);
  }
  if (c == 0xFF)
    return "y";
  if (c >= 0xC0 && c < 0x100)
    return one_of(latin1, c & 0x1F);
  if (c >= 0x100 && c < 0x180)
    return one_of(latin_a, c - 0x100);
  if (c >= 0x218 && c <= 0x21B)
    return c < 0x21A ? "s" : "t";
  if ((c >= 0x300 && c < 0x370) || c == 0xAD || c == 0xFEFF) // accents of their own, soft hyphens, marks of order
    return "";
  if ((c >= 0x2018 && c <= 0x201B) || c == 0xB4)
    return "'";
  if ((c >= 0x201C && c <= 0x201F) || c == 0xAB || c == 0xBB)
    return "\"";
  if ((c >= 0x2010 && c <= 0x2015) || c == 0x2212)
    return "-";
  return c == 0x2026 ? "..." : " ";
}

// The documents of a text.
std::vector<std::string> parted(const std::string &text, char end, std::size_t shortest) {
  std::vector<std::string> all;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t found = std::min(text.find(end, std::min(at + shortest, text.size())), text.size());
    std::size_t stop = found;
    if (end == '\n' && found > at + 2 * shortest) // no line ends soon
      stop = at + shortest;
    if (std::string one = text.substr(at, stop - at); one.find_first_not_of(" \n\f") != one.npos)
      all.push_back(std::move(one));
    at = stop == found ? found + 1 : stop;
  }
  return all;
}

std::vector<std::string> documents_of(const std::string &name, const std::vector<std::string> &files) {
  std::vector<std::string> all;
  std::size_t size = 0;
  for (const std::string &file : files)
    for (std::string &one : parted(file, '\f', 0))
      size += one.size(), all.push_back(std::move(one));
  if (all.size() >= documents_parted)
    return all;
  std::vector<std::string> blocks;
  for (const std::string &one : all)
    for (std::string &block : parted(one, '\n', std::max(shortest_block, size / 40)))
      blocks.push_back(std::move(block));
  if (blocks.size() < documents_parted)
    throw InputError("data.folder: ", name, ": found ", size, " characters, expected at least ",
                     documents_parted * (shortest_block + 1), ", to be parted for training, validation and tests");
  return blocks;
}

struct TextClass {
  std::string name;
  std::vector<std::string> documents;
};

// Regular files, sorted; what machines leave (hidden files) is nobody's.
std::vector<fs::path> sorted_in(const fs::path &folder, bool folders) {
  std::vector<fs::path> all;
  for (const auto &entry : fs::directory_iterator(folder))
    if (!entry.path().filename().string().starts_with(".") &&
        (folders ? entry.is_directory() : entry.is_regular_file()))
      all.push_back(entry.path());
  std::sort(all.begin(), all.end());
  return all;
}

std::string contents(const fs::path &path, Alphabet alphabet) {
  if (fs::file_size(path) == 0)
    return "";
  const MappedFile file(path);
  const std::string_view text(reinterpret_cast<const char *>(file.bytes().data()), file.bytes().size());
  return alphabet == Alphabet::folded ? folded(text) : std::string(text);
}

std::vector<TextClass> classes_in(const fs::path &folder, Alphabet alphabet) {
  if (!fs::is_directory(folder))
    throw InputError("data.folder: found no folder '", folder.string(),
                     "', expected text: a file or a folder a class (`make corpus` fetches one)");
  std::vector<TextClass> all;
  const auto add = [&](const std::string &name, const std::vector<fs::path> &files) {
    std::vector<std::string> texts;
    for (const fs::path &file : files)
      texts.push_back(contents(file, alphabet));
    all.push_back({name, documents_of(name, texts)});
  };
  for (const fs::path &of : sorted_in(folder, true))
    if (const auto files = sorted_in(of, false); !files.empty())
      add(of.filename().string(), files);
  if (all.empty())
    for (const fs::path &file : sorted_in(folder, false))
      add(file.stem().string(), {file});
  if (all.empty() || all.size() > 256)
    throw InputError("data.folder: ", folder.string(), ": found ", all.size(), " classes of text, expected 1 to 256");
  return all;
}

} // namespace

Alphabet alphabet_named(std::string_view name) {
  if (name != "folded" && name != "bytes")
    throw InputError("data.alphabet: found '", std::string(name), "', expected folded or bytes");
  return name == "bytes" ? Alphabet::bytes : Alphabet::folded;
}

std::string folded(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view next = ascii_of(next_of(text, at));
    const auto is_end = [](char c) { return c == '\n' || c == '\f'; };
    if (next.empty() || (next == " " && (out.empty() || out.back() == ' ' || is_end(out.back()))))
      continue;
    if (is_end(next[0])) {
      while (!out.empty() && out.back() == ' ')
        out.pop_back();
      if (next[0] == '\n' && (out.empty() || is_end(out.back())))
        continue;
    }
    out += next;
  }
  return out;
}

TextParts read_text(const fs::path &folder, Alphabet kind) {
  const auto classes = classes_in(folder, kind);
  TextParts parts;
  std::array<std::uint8_t, 256> code{};
  std::set<char> found;
  for (const TextClass &each : classes)
    for (const std::string &document : each.documents)
      found.insert(document.begin(), document.end());
  found.insert('\n'); // between documents
  for (int byte = 0; byte < 256; ++byte)
    if (kind == Alphabet::bytes || found.contains(char(byte))) {
      code[std::size_t(byte)] = std::uint8_t(parts.alphabet.size());
      parts.alphabet.emplace_back(1, char(byte));
    }
  for (const TextClass &each : classes) {
    parts.classes.push_back(each.name);
    for (std::size_t d = 0; d < each.documents.size(); ++d) {
      Characters &part = d % documents_parted == 0                      ? parts.test
                         : d % documents_parted == documents_parted / 2 ? parts.validation
                                                                        : parts.train;
      for (const char c : each.documents[d])
        part.codes.push_back(code[std::uint8_t(c)]);
      part.codes.push_back(code[std::uint8_t('\n')]);
    }
    for (Characters *part : {&parts.train, &parts.validation, &parts.test})
      part->begins.push_back(std::uint32_t(part->codes.size()));
  }
  return parts;
}

TextParts read_one_text(const fs::path &file, std::vector<std::string> alphabet) {
  if (!fs::is_regular_file(file))
    throw InputError("found no file '", file.string(), "', expected one of text");
  TextParts parts;
  parts.train.codes = codes_of(alphabet, contents(file, Alphabet::bytes));
  parts.train.begins.push_back(std::uint32_t(parts.train.size()));
  parts.validation = parts.test = parts.train;
  parts.classes = {file.stem().string()}, parts.alphabet = std::move(alphabet);
  return parts;
}

std::string text_of(const std::vector<std::string> &alphabet, const std::vector<std::uint8_t> &codes) {
  std::string text;
  for (const std::uint8_t code : codes)
    text += alphabet.at(code);
  return text;
}

std::vector<std::uint8_t> codes_of(const std::vector<std::string> &alphabet, std::string_view text) {
  const bool is_folded = alphabet.size() < 256;
  const std::string plain = is_folded ? folded(text) : std::string(text);
  const auto found = [&](char c) { return std::find(alphabet.begin(), alphabet.end(), std::string(1, c)); };
  const auto space = found(' ') == alphabet.end() ? alphabet.begin() : found(' ');
  std::vector<std::uint8_t> codes;
  if (is_folded && text.starts_with('\n')) // as a line does that begins
    codes.push_back(std::uint8_t(found('\n') - alphabet.begin()));
  for (const char c : plain)
    codes.push_back(std::uint8_t((found(c) == alphabet.end() ? space : found(c)) - alphabet.begin()));
  if (is_folded && text.ends_with(' ') && !plain.ends_with(' ')) // folding drops none at the end of a beginning
    codes.push_back(std::uint8_t(space - alphabet.begin()));
  return codes;
}

} // namespace theta
