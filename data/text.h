// Text as networks learn it: classes of characters (languages, say), each character a number.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace theta {

// Classes one behind another: class c is codes[begins[c] .. begins[c + 1]).
struct Characters {
  std::vector<std::uint8_t> codes;
  std::vector<std::uint32_t> begins{0}; // [classes + 1]
  std::size_t size() const { return codes.size(); }
  std::size_t size(std::size_t c) const { return begins[c + 1] - begins[c]; }
};

// Three parts that share no document: of each ten one is for tests, one for validation. Documents are files, or what
// form feeds part a file into; where a class has fewer than ten, blocks of whole lines.
struct TextParts {
  Characters train, validation, test;
  std::vector<std::string> classes;  // names
  std::vector<std::string> alphabet; // the text of each code, UTF-8
};

// What characters are: `folded`, lower-case ASCII without accents, digits as 0, of which the alphabet is what there is;
// or the 256 bytes.
enum class Alphabet { folded, bytes };
Alphabet alphabet_named(std::string_view name); // throws InputError

// UTF-8 to lower-case ASCII: letters lose their accents, digits become 0, every quote and dash the plain one; what is no
// such character becomes a space, runs of spaces one; lines keep their ends, and documents theirs (form feeds).
std::string folded(std::string_view utf8);

// A folder of text files, or one of folders (a class each); files beside one another are a class each, of their names.
// Throws InputError where there is none, or a class is too short to be parted.
TextParts read_text(const std::filesystem::path &folder, Alphabet);

// One file as text of one class of an alphabet that is there, all parts the same. Throws InputError where there is none.
TextParts read_one_text(const std::filesystem::path &file, std::vector<std::string> alphabet);

// Codes as text, and back; a character beyond the alphabet is the nearest there is: a space, or else the first.
std::string text_of(const std::vector<std::string> &alphabet, const std::vector<std::uint8_t> &codes);
std::vector<std::uint8_t> codes_of(const std::vector<std::string> &alphabet, std::string_view text);

} // namespace theta
