"""bash_kernel's `display`, `displayHTML` and `displayJS`: a line on stderr names a file and its kind.

cat plot.png | display
echo '<b>bold</b>' | displayHTML
"""

from bash_kernel.display import build_cmds, extract_contents

COMMANDS = build_cmds()  # bash code that defines them
_MARK = "bash_kernel: saved "


class Pictures:
    """A kernelbridge_kernel Capture whose text comes without those lines; `show` is called with the
    content of a display_data message for each."""

    def __init__(self, capture, show):
        self.original = capture.original
        self.pipe = capture.pipe
        self.waiting = capture.waiting
        self.restore = capture.restore
        self._read = capture.read
        self._show = show
        self._held = ""  # such a line that is not complete

    def read(self) -> tuple[int, str]:
        """Return (bytes read, their text), as Capture does."""
        count, text = self._read()
        if _MARK not in text and not self._held:
            return count, text
        *lines, last = (self._held + text).splitlines(keepends=True) or [""]
        if last.startswith(_MARK) and not last.endswith("\n"):
            self._held = last
        else:
            self._held = ""
            lines.append(last)
        return count, "".join(self._shown(line) for line in lines)

    def _shown(self, line: str) -> str:
        """Return what is left of a line as text."""
        if not line.startswith(_MARK):
            return line
        try:
            left, contents = extract_contents(line)
        except Exception as err:  # no such file, not a picture, no display id
            return f"{line.rstrip()}: {err}\n"
        for content in contents:
            self._show(content)
        return left
