"""bash_kernel on kernelbridge_kernel's start, streams and back-pressure, without a terminal.

Started as `python -P -m kernelbridge_bash -f CONNECTION_FILE`. bash_kernel types a cell into bash over
a pseudo-terminal and searches what comes back for its prompt: a tab completes, a line ends at 4096
bytes, stderr is stdout, an unclosed quote or a `read` waits for ever, and each line is searched again
with every byte. Here bash reads a cell from a file, its output goes into the kernel's own pipes, and
it says on a third one when the cell is done. Of bash_kernel stay what it says of itself, completion,
and `display`, `displayHTML` and `displayJS`. One file, one thing:

    app        the kernel's start
    kernel     one execution and its reply
    process    the bash process: cells in, status out
    session    its processes, and how an interrupt reaches them
    around     a run's own variables and directory
    pictures   what the display functions say, made into display_data
"""
