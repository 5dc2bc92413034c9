// The AWS flavour of INI files, ~/.aws/config and ~/.aws/credentials.
//
// Source: "Shared config and credentials files", AWS SDKs and Tools Reference Guide.
//   [section]            a name, as it stands there without outer spaces
//   name = value         names in lower case; " #" and " ;" begin a comment
//   # comment            also ';', at the start of a line
//     nested = value     indented under a property without value: belongs to it
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace lambdaml::net {

// Property names to values; a nested property's name is "outer.nested". Lines that continue a value
// are joined to it by '\n'.
using IniSection = std::map<std::string, std::string, std::less<>>;
using IniFile = std::map<std::string, IniSection, std::less<>>;

// Errors: kInvalidArgument, "origin:line: what", for anything else than the above, and for sections
// and properties given twice. No message shows a value.
IniFile ParseIni(std::string_view text, std::string_view origin);

}  // namespace lambdaml::net
