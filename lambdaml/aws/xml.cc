#include "lambdaml/aws/xml.h"

#include <pugixml.hpp>

namespace lambdaml::aws {
namespace {

constexpr int kDepthMax = 32;

bool Copy(const pugi::xml_node& node, int depth, XmlElement* element) {
  if (depth > kDepthMax) return false;
  element->name = node.name();
  element->text = node.child_value();
  for (const pugi::xml_node& child : node.children()) {
    if (child.type() != pugi::node_element) continue;
    if (!Copy(child, depth + 1, &element->children.emplace_back())) return false;
  }
  return true;
}

}  // namespace

const XmlElement* XmlElement::Find(std::string_view child) const {
  for (const XmlElement& candidate : children) {
    if (candidate.name == child) return &candidate;
  }
  return nullptr;
}

std::string_view XmlElement::Text(std::string_view child) const {
  const XmlElement* found = Find(child);
  return found == nullptr ? std::string_view() : found->text;
}

std::vector<const XmlElement*> XmlElement::Members(std::string_view child) const {
  std::vector<const XmlElement*> members;
  const XmlElement* list = Find(child);
  if (list == nullptr) return members;
  for (const XmlElement& candidate : list->children) {
    if (candidate.name == "member") members.push_back(&candidate);
  }
  return members;
}

std::optional<XmlElement> ParseXml(std::string_view text) {
  pugi::xml_document document;
  if (!document.load_buffer(text.data(), text.size(), pugi::parse_default, pugi::encoding_utf8)) {
    return std::nullopt;
  }
  XmlElement root;
  if (!Copy(document.document_element(), 0, &root)) return std::nullopt;
  return root;
}

}  // namespace lambdaml::aws
