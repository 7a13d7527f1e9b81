#include <metatt/transformer/method.hpp>

namespace metatt::transformer {

std::string Method::name() const {
  if (kind == Kind::head_only) return "none";
  return kind == Kind::full ? "full" : adapter.kind;
}

Method Method::named(const std::string& name, const AdapterSettings& settings) {
  Method method{Kind::adapter, settings};
  method.adapter.kind = name;
  if (name == "none") method.kind = Kind::head_only;
  if (name == "full") method.kind = Kind::full;
  return method;
}

}  // namespace metatt::transformer
