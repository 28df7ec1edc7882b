// JSON as the header of a safetensors file has it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace distilrank {

// Reads a text for a caller who knows what must come next. There is no tree of values and no
// recursion, so there is no depth that a file could choose. Whatever else is found is refused with
// its place: std::invalid_argument.
class JsonReader {
public:
    // `name` is what sentences call the text.
    JsonReader(std::string_view text, std::string name);

    // Calls use(key) at each value, in order; it must read the value.
    template <typename Use>
    void object(Use use) {
        expect('{');
        for (bool more = !accept('}'); more; more = another('}')) {
            const std::string key = string();
            expect(':');
            use(key);
        }
    }

    // Calls use() at each value, in order; it must read the value.
    template <typename Use>
    void array(Use use) {
        expect('[');
        for (bool more = !accept(']'); more; more = another(']')) use();
    }

    std::string string(); // UTF-8
    int64_t whole_number(); // from 0 to 10^18 - 1
    void end();             // refuses anything but white space

private:
    void skip_space();
    bool accept(char c);
    void expect(char c);
    bool another(char closing); // after a value: is there one more?
    char next(const char *expected);
    void escape(std::string &text);
    uint32_t code_unit();
    void check_utf8(std::string_view text, size_t from) const;
    [[noreturn]] void refuse(const std::string &expected) const;

    std::string_view text_;
    std::string name_;
    size_t at_ = 0;
};

} // namespace distilrank
