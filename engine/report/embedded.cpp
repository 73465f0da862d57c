#include "embedded.h"

// The assembler takes the files in; the Makefile tells it where they may be.
#define THETA_EMBED(name, path)                                                                                        \
  asm(".section .rodata\n.balign 16\n.global theta_" #name "\ntheta_" #name ":\n.incbin \"" path                       \
      "\"\n.global theta_" #name "_end\ntheta_" #name "_end:\n.byte 0\n.previous\n");                                  \
  extern "C" const char theta_##name[], theta_##name##_end[];

THETA_EMBED(font, "fonts/truetype/dejavu/DejaVuSans.ttf")
THETA_EMBED(charts, "javascript/chart.js/chart.min.js")
THETA_EMBED(style, "engine/report/page.css")
THETA_EMBED(script, "engine/report/page.js")

namespace theta {

std::string_view font_file() { return {theta_font, std::size_t(theta_font_end - theta_font)}; }
std::string_view chart_library() { return {theta_charts, std::size_t(theta_charts_end - theta_charts)}; }

std::string_view page_style() { return {theta_style, std::size_t(theta_style_end - theta_style)}; }
std::string_view page_script() { return {theta_script, std::size_t(theta_script_end - theta_script)}; }

} // namespace theta
