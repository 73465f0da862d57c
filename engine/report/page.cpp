#include "page.h"
#include "data/json.h"
#include "embedded.h"
#include "figures.h"

namespace theta {

namespace {

// JSON within a script element: nothing in it may look like its end, or open a comment.
std::string within_script(const Json &json) {
  std::string text;
  for (const char c : json.dump(-1, ' ', false, Json::error_handler_t::replace))
    text += c == '<' ? std::string("\\u003c") : std::string(1, c);
  return text;
}

std::string escaped(const std::string &text) {
  std::string all;
  for (const char c : text)
    all += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : c == '"' ? "&quot;" : std::string(1, c);
  return all;
}

Json texts_of(std::span<const FigureText> figures) {
  Json all = Json::array();
  for (const FigureText &f : figures)
    all.push_back({{"name", f.name},
                   {"theme", f.theme},
                   {"title", f.title},
                   {"x_label", f.x_label},
                   {"y_label", f.y_label},
                   {"meaning", f.meaning},
                   {"percent", f.percent}});
  return all;
}

} // namespace

std::string page_of(const std::vector<Json> &runs, const std::string &stamp) {
  std::string names;
  for (const Json &run : runs)
    names += (names.empty() ? "" : ", ") + run.value("name", "a run");
  const Json figures{{"each", texts_of(figures_of_each())},
                     {"group", texts_of(figures_of_group())},
                     {"series", texts_of(series_of_group())}};
  std::string page = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                     "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                     "<link rel=\"icon\" href=\"data:,\">\n<title>";
  page += escaped(names) + " · theta</title>\n<style>\n";
  page += page_style();
  page += "</style>\n</head>\n<body>\n<header><h1>" + escaped(names) + "</h1></header>\n<main></main>\n";
  page += "<script id=\"data\" type=\"application/json\">" + within_script(Json(runs)) + "</script>\n";
  page += "<script id=\"figures\" type=\"application/json\">" + within_script(figures) + "</script>\n<script>\n";
  page += chart_library();
  page += "\n</script>\n<script>\n";
  page += page_script();
  page += "</script>\n";
  if (!stamp.empty())
    page += "<script>setInterval(async () => { try { const now = await (await fetch('/stamp')).text(); if (now !== '" +
            stamp + "') location.reload(); } catch { } }, 3000);</script>\n";
  page += "<noscript>This page draws itself; without scripts its numbers are in the source of it.</noscript>\n"
          "</body>\n</html>\n";
  return page;
}

} // namespace theta
