package org.dflib.jjava.distro;

import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.dflib.jjava.jupyter.channels.JupyterOutputStream;
import org.dflib.jjava.jupyter.channels.ShellReplyEnvironment;
import org.dflib.jjava.jupyter.kernel.JupyterIO;
import org.dflib.jjava.jupyter.messages.Message;
import org.dflib.jjava.jupyter.messages.publish.PublishStream;
import org.dflib.jjava.jupyter.messages.publish.PublishStream.StreamType;

/**
 * System.out or System.err of the cells. What is printed is sent at once after a pause, else
 * together every 10 ms or 64 KiB: a message per line would cost ten times the time. No character is
 * cut in two. A thread of its own sends: a cell that is interrupted within ZeroMQ leaves it broken.
 * A cell that was interrupted and prints all the same ends there, not in the output of the next.
 */
final class Output extends JupyterOutputStream implements Runnable {
    private static final long PAUSE_NS = 10_000_000;
    private static final int FULL = 64 * 1024;

    private final JupyterIO io;
    private final boolean err;
    private long sent; // when, System.nanoTime()
    private boolean flushed; // run() shall send what is there

    private Output(JupyterIO io, boolean err) {
        super((env, text) -> publish(env, err ? StreamType.ERR : StreamType.OUT, text));
        this.io = io;
        this.err = err;
    }

    /** Past env's own queue, which is one thread's: that of the kernel, which may be deferring its reply. */
    private static void publish(ShellReplyEnvironment env, StreamType type, String text) {
        PublishStream stream = new PublishStream(type, text);
        env.getIopub().sendMessage(new Message<>(env.getContext(), stream.getType(), stream));
    }

    /** Put a new one into io, in place of JJava's: into fields that are final. */
    static Output replace(JupyterIO io, boolean err) {
        Output output = new Output(io, err);
        output.put(err ? "jupyterErr" : "jupyterOut", output);
        output.renew();
        Thread sender = new Thread(output, "kernelbridge-" + (err ? "stderr" : "stdout"));
        sender.setDaemon(true);
        sender.start();
        return output;
    }

    /** Forget what an interrupted cell left here, and in its PrintStream: half a line, broken off. */
    synchronized void renew() {
        reset();
        put(err ? "err" : "out", new PrintStream(this, true, StandardCharsets.UTF_8));
    }

    private void put(String field, Object value) {
        try {
            Kernelbridge.set(JupyterIO.class, field, io, value);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    public synchronized void setEnv(ShellReplyEnvironment env) {
        super.setEnv(env);
    }

    @Override
    public synchronized void retractEnv(ShellReplyEnvironment env) {
        super.retractEnv(env);
    }

    @Override
    public synchronized void flush() {
        if (!flushed || count >= FULL) {
            flushed = true;
            notifyAll();
        }
        while (count >= FULL && flushed) {
            pause(0);
        }
        if (Interrupt.isInterruptedCell()) {
            throw new IllegalStateException("interrupted");
        }
    }

    /** Send what is there, but for the start of a character. */
    synchronized void send() {
        int cut = unfinished();
        byte[] rest = new byte[cut];
        System.arraycopy(buf, count - cut, rest, 0, cut);
        count -= cut;
        super.flush();
        write(rest, 0, cut);
        sent = System.nanoTime();
        flushed = false;
        notifyAll();
    }

    private void pause(long ms) {
        try {
            wait(ms);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted");
        }
    }

    private int unfinished() {
        for (int n = 1; n <= 3 && n <= count; n++) {
            int c = buf[count - n] & 0xff;
            if (c >= 0xc0) {
                return n < (c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2) ? n : 0;
            }
            if (c < 0x80) {
                return 0;
            }
        }
        return 0;
    }

    @Override
    public synchronized void run() {
        while (true) {
            long early = PAUSE_NS - (System.nanoTime() - sent);
            if (!flushed) {
                pause(0);
            } else if (early > 0 && count < FULL) {
                pause(early / 1_000_000 + 1);
            } else {
                send();
            }
        }
    }
}
