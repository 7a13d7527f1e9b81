#pragma once
/// Internal to this folder: the numbers of a model's text.

#include <complex>
#include <map>
#include <string>

namespace metatt::tn {

/// A finite number. Throws Error on anything else.
double read_number(const std::string& word);

/// Throws Error unless the name can stand in a coefficient: letters, digits and underscores, no
/// digit first, and neither i nor r, which have a meaning already.
void check_name(const std::string& name);

/// A product as "-0.5*J*r^-2/3" or "i*D": numbers, names and the imaginary unit i with * and /
/// between them, each with a power (a number or a name) or without, and a sign in front. Throws
/// Error on an unknown name, naming those there are, and on a value that is not finite.
std::complex<double> coefficient(const std::string& text,
                                 const std::map<std::string, double>& names);

}  // namespace metatt::tn
