// The XML of the Query protocol's answers, as plain values; pugixml stays behind this header.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lambdaml::aws {

struct XmlElement {
  std::string name;
  std::string text;  // its own, without that of its children
  std::vector<XmlElement> children;

  // The first child of that name, or nullptr.
  const XmlElement* Find(std::string_view child) const;
  // The text of the first child of that name, or "".
  std::string_view Text(std::string_view child) const;
  // The children named "member" of the first child of that name: how the protocol writes lists.
  std::vector<const XmlElement*> Members(std::string_view child) const;
};

// The root element; nothing if the text is no XML, or nested deeper than any answer is.
std::optional<XmlElement> ParseXml(std::string_view text);

}  // namespace lambdaml::aws
