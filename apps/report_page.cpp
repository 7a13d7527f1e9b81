#include <metatt/apps/report_page.hpp>

#include <metatt/tn/error.hpp>
#include <metatt/tn/files/file.hpp>

namespace metatt::apps {

namespace {

constexpr const char* page_style = R"(
body { font-family: sans-serif; max-width: 1340px; margin: 2em auto; padding: 0 1em; color: #222; }
.table { overflow-x: auto; } table { border-collapse: collapse; }
td, th { padding: 0.2em 0.5em; text-align: right; border-bottom: 1px solid #ddd; vertical-align: top; }
td { white-space: nowrap; }
td.text, th.text { text-align: left; white-space: normal; min-width: 9.5em; max-width: 34em; overflow-wrap: anywhere; }
pre { background: #f4f4f4; padding: 0.8em; overflow-x: auto; }
.pictures { display: flex; flex-wrap: wrap; gap: 1em; align-items: flex-start; }
figure { margin: 0; width: 640px; max-width: 100%; } figcaption { font-size: 85%; color: #555; }
figure svg { width: 100%; height: auto; }
)";

/// The name as a file's: small letters, digits and "-".
std::string file_name(const std::string& name) {
  std::string result;
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    const bool capital = c >= 'A' && c <= 'Z';
    if (plain || capital)
      result += capital ? static_cast<char>(c - 'A' + 'a') : c;
    else if (!result.empty() && result.back() != '-')
      result += '-';
  }
  return result;
}

std::filesystem::path picture_folder(const std::filesystem::path& page) {
  return page.parent_path() / (page.stem().string() + "_files");
}

/// The folder is replaced as a whole, so that no picture of an earlier report stays: it must be
/// one.
void check_pictures_only(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (!std::filesystem::exists(folder, ignored)) return;
  if (!std::filesystem::is_directory(folder, ignored))
    tn::fail(folder.string(), ": expected a folder for the pictures, found something else");
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() != ".svg")
      tn::fail(folder.string(), ": expected nothing but pictures of an earlier report, found ",
               entry.path().filename().string());
}

}  // namespace

std::string html_escaped(const std::string& text) {
  std::string result;
  for (const char c : text) switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += c;
    }
  return result;
}

void HtmlTable::row(const std::vector<std::string>& cells, const char* element) {
  html_ += "<tr>";
  for (std::size_t i = 0; i < cells.size(); ++i)
    html_ += "<" + std::string(element) + (i < texts_ ? " class=\"text\">" : ">") +
             html_escaped(cells[i]) + "</" + element + ">";
  html_ += "</tr>\n";
}

void ReportPage::add(const std::string& html) {
  if (among_pictures_) body_ += "</div>\n";
  among_pictures_ = false;
  body_ += html;
}

void ReportPage::add_heading(const std::string& text) {
  add("<h2>" + html_escaped(text) + "</h2>\n");
}

void ReportPage::add_picture(const std::string& name, const std::string& svg,
                             const std::string& caption) {
  if (svg.empty()) return;
  const std::string number = std::to_string(pictures_.size() + 1);
  pictures_.emplace_back((number.size() < 2 ? "0" : "") + number + "-" + file_name(name) + ".svg",
                         svg);
  if (!among_pictures_) body_ += "<div class=\"pictures\">\n";
  among_pictures_ = true;
  body_ += "<figure>" + svg;
  if (!caption.empty()) body_ += "<figcaption>" + html_escaped(caption) + "</figcaption>";
  body_ += "</figure>\n";
}

void ReportPage::write(const std::filesystem::path& page) const {
  const std::filesystem::path folder = picture_folder(page);
  check_pictures_only(folder);
  const std::string title = html_escaped(title_);
  tn::write_file_atomically(
      page,
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width\"><title>metatt: " +
          title + "</title><style>" + page_style + "</style></head><body>\n<h1>" + title +
          "</h1>\n" + body_ + (among_pictures_ ? "</div>\n" : "") + "</body></html>\n");
  tn::AtomicFolder pictures(folder);
  for (const auto& [name, svg] : pictures_)
    tn::write_file_atomically(pictures.folder() / name, svg);
  pictures.commit();
}

}  // namespace metatt::apps
