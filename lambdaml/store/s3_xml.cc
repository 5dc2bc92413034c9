#include "lambdaml/store/s3_xml.h"

#include <charconv>
#include <fmt/format.h>
#include <sstream>

#include <pugixml.hpp>

#include "lambdaml/base/error.h"

namespace lambdaml::store {
namespace {

[[noreturn]] void Fail(std::string_view expected, std::string_view what) {
  throw base::Error(base::ErrorCode::kUnavailable,
                    fmt::format("the answer is not S3's <{}>: {}", expected, what));
}

// A namespace prefix is nobody's habit here, so names are compared as they are.
class Document {
 public:
  Document(std::string_view xml, const char* root_name) : name_(root_name) {
    const pugi::xml_parse_result result =
        document_.load_buffer(xml.data(), xml.size(), pugi::parse_default, pugi::encoding_utf8);
    if (!result) Fail(name_, result.description());
    if (root().name() != std::string_view(name_)) Fail(name_, "it is another document");
  }

  pugi::xml_node root() const { return document_.document_element(); }

  std::string Required(pugi::xml_node node, const char* child_name) const {
    const pugi::xml_node child = node.child(child_name);
    if (!child || *child.child_value() == '\0') Fail(name_, fmt::format("no {}", child_name));
    return child.child_value();
  }

 private:
  const char* name_;
  pugi::xml_document document_;
};

S3Error ErrorOf(pugi::xml_node node) {
  return {.code = node.child("Code").child_value(),
          .message = node.child("Message").child_value(),
          .region = node.child("Region").child_value()};
}

// As encoding-type=url has it: spaces are '+' or %20.
std::string DecodeKey(std::string_view text) {
  std::string key;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      key += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    unsigned value = 0;
    const std::string_view digits = text.substr(i + 1, 2);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() != 2 || error != std::errc() || end != digits.data() + 2) {
      Fail("ListBucketResult", "a key is not encoded");
    }
    key += static_cast<char>(value);
    i += 2;
  }
  return key;
}

std::string Write(const pugi::xml_document& document) {
  std::ostringstream text;
  document.save(text, "", pugi::format_raw | pugi::format_no_declaration, pugi::encoding_utf8);
  return std::move(text).str();
}

void AppendText(pugi::xml_node node, const char* name, const std::string& text) {
  node.append_child(name).append_child(pugi::node_pcdata).set_value(text.c_str());
}

}  // namespace

std::optional<S3Error> ParseS3Error(std::string_view xml) {
  pugi::xml_document document;
  const pugi::xml_parse_result result =
      document.load_buffer(xml.data(), xml.size(), pugi::parse_default, pugi::encoding_utf8);
  const pugi::xml_node root = document.document_element();
  if (!result || root.name() != std::string_view("Error")) return std::nullopt;
  return ErrorOf(root);
}

S3ListPage ParseS3ListPage(std::string_view xml) {
  const Document document(xml, "ListBucketResult");
  S3ListPage page;
  for (const pugi::xml_node object : document.root().children("Contents")) {
    page.keys.push_back(DecodeKey(document.Required(object, "Key")));
  }
  const std::string is_truncated = document.Required(document.root(), "IsTruncated");
  if (is_truncated == "true") {
    page.next_token = document.Required(document.root(), "NextContinuationToken");
  } else if (is_truncated != "false") {
    Fail("ListBucketResult", "IsTruncated is neither true nor false");
  }
  return page;
}

std::string ParseS3UploadId(std::string_view xml) {
  const Document document(xml, "InitiateMultipartUploadResult");
  return document.Required(document.root(), "UploadId");
}

std::vector<S3DeleteFailure> ParseS3DeleteResult(std::string_view xml) {
  const Document document(xml, "DeleteResult");
  std::vector<S3DeleteFailure> failures;
  for (const pugi::xml_node error : document.root().children("Error")) {
    failures.push_back({.key = document.Required(error, "Key"), .error = ErrorOf(error)});
  }
  return failures;
}

std::string WriteS3Delete(std::span<const std::string> keys) {
  pugi::xml_document document;
  pugi::xml_node root = document.append_child("Delete");
  AppendText(root, "Quiet", "true");
  for (const std::string& key : keys) AppendText(root.append_child("Object"), "Key", key);
  return Write(document);
}

std::string WriteS3CompleteUpload(std::span<const std::string> etags) {
  pugi::xml_document document;
  pugi::xml_node root = document.append_child("CompleteMultipartUpload");
  for (size_t i = 0; i < etags.size(); ++i) {
    pugi::xml_node part = root.append_child("Part");
    AppendText(part, "PartNumber", fmt::format("{}", i + 1));
    AppendText(part, "ETag", etags[i]);
  }
  return Write(document);
}

}  // namespace lambdaml::store
