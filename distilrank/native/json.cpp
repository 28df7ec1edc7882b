#include "json.hpp"

#include <utility>

#include "file_error.hpp"

namespace distilrank {
namespace {

constexpr int kMostDigits = 18;

void append_utf8(std::string &text, uint32_t code) {
    const auto byte = [&](uint32_t value) { text += static_cast<char>(value); };
    if (code < 0x80) return byte(code);
    if (code < 0x800) byte(0xc0 | code >> 6);
    else if (code < 0x10000) byte(0xe0 | code >> 12);
    else byte(0xf0 | code >> 18);
    if (code >= 0x10000) byte(0x80 | (code >> 12 & 0x3f));
    if (code >= 0x800) byte(0x80 | (code >> 6 & 0x3f));
    byte(0x80 | (code & 0x3f));
}

// The length of the well-formed UTF-8 sequence at `at`, 0 where there is none (Unicode, table 3-7).
size_t utf8_length(std::string_view text, size_t at) {
    const auto byte = [&](size_t k) {
        return at + k < text.size() ? static_cast<unsigned char>(text[at + k]) : 0u;
    };
    const auto within = [](unsigned value, unsigned low, unsigned high) {
        return value >= low && value <= high;
    };
    const unsigned first = byte(0);
    if (first < 0x80) return 1;
    const size_t length = within(first, 0xc2, 0xdf)   ? 2
                          : within(first, 0xe0, 0xef) ? 3
                          : within(first, 0xf0, 0xf4) ? 4
                                                      : 0;
    if (!length) return 0;
    // No longer form than needed, no surrogates, nothing above U+10FFFF.
    const unsigned low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const unsigned high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (!within(byte(1), low, high)) return 0;
    for (size_t k = 2; k < length; ++k)
        if (!within(byte(k), 0x80, 0xbf)) return 0;
    return length;
}

} // namespace

JsonReader::JsonReader(std::string_view text, std::string name)
    : text_(text), name_(std::move(name)) {}

void JsonReader::refuse(const std::string &expected) const {
    const std::string found = at_ < text_.size() ? quoted(text_.substr(at_, 1)) : "its end";
    refuse_file(name_ + ", byte " + std::to_string(at_) + ": found " + found + ", expected " +
                expected);
}

void JsonReader::skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' ||
                                  text_[at_] == '\r'))
        ++at_;
}

bool JsonReader::accept(char c) {
    skip_space();
    const bool found = at_ < text_.size() && text_[at_] == c;
    at_ += found;
    return found;
}

void JsonReader::expect(char c) {
    if (!accept(c)) refuse(quoted({&c, 1}));
}

bool JsonReader::another(char closing) {
    if (accept(closing)) return false;
    if (!accept(',')) refuse("',' or " + quoted({&closing, 1}));
    return true;
}

void JsonReader::end() {
    skip_space();
    if (at_ < text_.size()) refuse("nothing more");
}

char JsonReader::next(const char *expected) {
    if (at_ == text_.size()) refuse(expected);
    return text_[at_++];
}

std::string JsonReader::string() {
    if (!accept('"')) refuse("a string");
    std::string text;
    for (size_t from = at_;;) {
        const char c = next("the string's closing quotation mark");
        if (c != '"' && c != '\\') {
            if (static_cast<unsigned char>(c) >= 0x20) continue;
            --at_;
            refuse("no control character within a string");
        }
        const std::string_view plain = text_.substr(from, at_ - 1 - from);
        check_utf8(plain, from);
        text += plain;
        if (c == '"') return text;
        escape(text);
        from = at_;
    }
}

void JsonReader::check_utf8(std::string_view text, size_t from) const {
    for (size_t at = 0; at < text.size();) {
        const size_t length = utf8_length(text, at);
        if (!length)
            refuse_file(name_ + ", byte " + std::to_string(from + at) + ": this is no UTF-8");
        at += length;
    }
}

void JsonReader::escape(std::string &text) {
    constexpr std::string_view names = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
    const char c = next("an escape");
    const size_t simple = names.find(c);
    if (simple != names.npos) {
        text += meanings[simple];
        return;
    }
    --at_;
    if (c != 'u') refuse("an escape");
    ++at_;
    uint32_t code = code_unit();
    if (code >= 0xd800 && code < 0xdc00 && text_.substr(at_, 2) == "\\u") {
        at_ += 2;
        const uint32_t low = code_unit();
        if (low < 0xdc00 || low > 0xdfff) refuse("the second half of a surrogate pair before it");
        append_utf8(text, 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00));
        return;
    }
    if (code >= 0xd800 && code < 0xe000) refuse("both halves of a surrogate pair");
    append_utf8(text, code);
}

uint32_t JsonReader::code_unit() {
    uint32_t code = 0;
    for (int k = 0; k < 4; ++k) {
        const char c = next("four hexadecimal digits");
        const std::string_view digits = "0123456789abcdef";
        const size_t value = digits.find(c >= 'A' && c <= 'F' ? static_cast<char>(c | 32) : c);
        if (value == digits.npos) {
            --at_;
            refuse("four hexadecimal digits");
        }
        code = code << 4 | static_cast<uint32_t>(value);
    }
    return code;
}

int64_t JsonReader::whole_number() {
    skip_space();
    const size_t start = at_;
    int64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
        // JSON knows no leading zeros.
        if (at_ - start == kMostDigits || (at_ > start && text_[start] == '0'))
            refuse("a whole number of at most 18 digits");
        value = value * 10 + (text_[at_] - '0');
    }
    if (at_ == start) refuse("a whole number");
    return value;
}

} // namespace distilrank
