#pragma once
/// A page with pictures: what all reports of the program share.

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace metatt::apps {

/// The text as the content of an element or between double quotes of an attribute.
std::string html_escaped(const std::string& text);

/// A table with its head; the first columns hold text, which stands at the left.
class HtmlTable {
 public:
  HtmlTable(const std::vector<std::string>& head, std::size_t texts) : texts_(texts) {
    row(head, "th");
  }
  void row(const std::vector<std::string>& cells, const char* element = "td");
  std::string html() const { return "<div class=\"table\"><table>\n" + html_ + "</table></div>\n"; }

 private:
  std::size_t texts_;
  std::string html_;
};

/// A page that needs no other file, and its pictures once more as files.
class ReportPage {
 public:
  explicit ReportPage(std::string title) : title_(std::move(title)) {}

  /// Text that is HTML already.
  void add(const std::string& html);
  void add_heading(const std::string& text);
  /// A picture as SVG text (nothing happens if it is empty); its file is called after `name`.
  void add_picture(const std::string& name, const std::string& svg,
                   const std::string& caption = "");

  /// Writes the page, and the pictures into the folder beside it that has its name with _files for
  /// the extension, in the place of pictures that are there. Throws Error if one of the two cannot
  /// be written, or if the folder holds anything but pictures.
  void write(const std::filesystem::path& page) const;

 private:
  std::string title_, body_;
  bool among_pictures_ = false;
  std::vector<std::pair<std::string, std::string>> pictures_;  ///< file name and SVG text
};

}  // namespace metatt::apps
