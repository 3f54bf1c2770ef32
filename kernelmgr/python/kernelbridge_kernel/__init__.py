"""The Python side of kernelbridge: an ipykernel whose output is ordered, bounded and never lost.

Started as `python -P -m kernelbridge_kernel -f CONNECTION_FILE`. One file, one thing:

    app        the kernel's start: sockets, streams, no files of the user's
    options    what a kernel's command line can ask for
    debugged   the kernel with ipykernel's debugger
    parent     die with the process that started the kernel
    iopub      the one ordered and bounded queue in front of the iopub socket
    streams    sys.stdout and sys.stderr
    capture    what is written to file descriptors 1 and 2 below Python
    wire       JSON that is always valid UTF-8
    kernel     one execution: its environment variables, its interrupt, its end
    environ    set and restore variables exactly
    assign     a directory and variables for a kernel that was started ahead
    shell      what IPython shows of an error, and how `exit` behaves
    plaintb    a traceback as CPython prints it
    warm       what first cells load and compute, done ahead
    zygote     the process that forks kernels, and its requests
    preload    what it loads, and how a kernel takes that into use
    shelf      packages that are loaded, but out of sight until they are imported
    threads    none for BLAS in a zygote, as many as usual in a kernel
    prepared   application and shell made before the fork
    reborn     descriptors, environment, folder and randomness of a forked process
"""
