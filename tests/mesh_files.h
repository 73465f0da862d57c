// The cube 0..1 in every format of meshes.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>

namespace theta::test {

inline std::map<std::string, std::string> cube_files() {
  constexpr int faces[6][4] = {{0, 4, 6, 2}, {1, 3, 7, 5}, {0, 1, 5, 4}, {2, 6, 7, 3}, {0, 2, 3, 1}, {4, 5, 7, 6}};
  const auto number = [](int vertex, int axis) { return std::string(1, char('0' + (vertex >> axis & 1))); };
  std::string vertices, obj, quads, little, big, stl = "solid cube\n", binary(80, ' ');
  const auto add = [](std::string &to, auto value, bool reversed = false) {
    std::string bytes(reinterpret_cast<const char *>(&value), sizeof value);
    to += reversed ? std::string(bytes.rbegin(), bytes.rend()) : bytes;
  };
  add(binary, std::uint32_t(12));
  for (int v = 0; v < 8; ++v) {
    vertices += number(v, 0) + ' ' + number(v, 1) + ' ' + number(v, 2) + '\n';
    obj += "v " + number(v, 0) + ' ' + number(v, 1) + ' ' + number(v, 2) + '\n';
    for (int axis = 0; axis < 3; ++axis)
      add(little, float(v >> axis & 1)), add(big, float(v >> axis & 1), true);
  }
  for (const auto &face : faces) {
    quads += "4", obj += "f", add(little, std::uint8_t(4)), add(big, std::uint8_t(4));
    for (const int v : face) {
      quads += ' ' + std::to_string(v), obj += ' ' + std::to_string(v + 1);
      add(little, std::int32_t(v)), add(big, std::int32_t(v), true);
    }
    quads += '\n', obj += '\n';
    for (const auto &triangle : {std::array{0, 1, 2}, std::array{0, 2, 3}}) {
      stl += " facet normal 0 0 0\n  outer loop\n";
      binary += std::string(12, '\0');
      for (const int k : triangle) {
        stl += "   vertex " + number(face[k], 0) + ' ' + number(face[k], 1) + ' ' + number(face[k], 2) + "e+00\n";
        for (int axis = 0; axis < 3; ++axis)
          add(binary, float(face[k] >> axis & 1));
      }
      stl += "  endloop\n endfacet\n";
      binary += std::string(2, '\0');
    }
  }
  const auto header = [](const std::string &format) {
    return "ply\nformat " + format +
           " 1.0\ncomment a cube\nelement vertex 8\nproperty float x\nproperty float32 y\nproperty float z\n"
           "element face 6\nproperty list uchar int vertex_indices\nend_header\n";
  };
  return {{"cube.obj", obj},
          {"cube.off", "OFF\n# a cube\n8 6 0\n" + vertices + quads},
          {"glued.off", "OFF8 6 12\n" + vertices + quads},
          {"cube.ply", header("ascii") + vertices + quads},
          {"binary.ply", header("binary_little_endian") + little},
          {"big.ply", header("binary_big_endian") + big},
          {"cube.stl", stl + "endsolid cube\n"},
          {"binary.stl", binary}};
}

} // namespace theta::test
