#include "lambdaml/aws/xml.h"

#include <gtest/gtest.h>
#include <string>

namespace lambdaml::aws {
namespace {

TEST(Xml, ListsAreReadByTheirMembers) {
  const auto root = ParseXml(
      "<?xml version=\"1.0\"?><A xmlns=\"x\"><L><member><K>a</K></member><other/>"
      "<member><K>b &amp; c</K></member></L><Empty/></A>");
  ASSERT_TRUE(root.has_value());
  EXPECT_EQ(root->name, "A");
  const auto members = root->Members("L");
  ASSERT_EQ(members.size(), 2U);
  EXPECT_EQ(members[0]->Text("K"), "a");
  EXPECT_EQ(members[1]->Text("K"), "b & c");
  EXPECT_EQ(root->Text("Empty"), "");
  EXPECT_EQ(root->Text("Missing"), "");
  EXPECT_TRUE(root->Members("Missing").empty());
}

TEST(Xml, WhatIsNoXmlOrNestedWithoutEndIsNothing) {
  EXPECT_FALSE(ParseXml("").has_value());
  EXPECT_FALSE(ParseXml("{\"message\":\"no\"}").has_value());
  EXPECT_FALSE(ParseXml("<A><B></A>").has_value());
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "<A>";
  for (int i = 0; i < 100; ++i) deep += "</A>";
  EXPECT_FALSE(ParseXml(deep).has_value());
}

}  // namespace
}  // namespace lambdaml::aws
