// Files that the program carries: from Debian's packages (tools/deps.sh), and those of pages beside this one.
#pragma once
#include <string_view>

namespace theta {

std::string_view font_file();     // DejaVuSans.ttf
std::string_view chart_library(); // chart.min.js
std::string_view page_style();    // page.css
std::string_view page_script();   // page.js

} // namespace theta
