package org.dflib.jjava.distro;

import java.util.Set;
import java.util.concurrent.locks.LockSupport;
import org.dflib.jjava.kernel.JavaKernel;

/**
 * What JJava leaves to do when a cell is interrupted. It cancels the statement that runs: one that
 * begins just then, as the cell's next, goes on, and so does a loop that never sleeps, in a thread of
 * its own. So this one cancels until the cell has ended, and then stops by force what still runs of
 * it, in a JVM that can. The next cell waits for that, and never meets an interrupt that is not its
 * own.
 */
final class Interrupt extends Thread {
    private static final long LOOK_NS = 4_000_000;
    private static final long GRACE_NS = 300_000_000;
    private static final String EXECUTOR = "jjava-exec-"; // of JJavaExecutionControl's threads

    private static volatile Object cell; // the one that runs, or null
    private static Interrupt last; // of that cell, or else of the one before; or null

    private final JavaKernel kernel;
    private final Object struck;

    private Interrupt(JavaKernel kernel, Object struck) {
        super("kernelbridge-interrupt");
        setDaemon(true);
        this.kernel = kernel;
        this.struck = struck;
    }

    /**
     * A cell begins. Returns when the interrupt of the one before is done with what is left of it; false
     * where there was none.
     */
    static boolean beginCell() {
        Interrupt before;
        synchronized (Interrupt.class) {
            before = last;
            last = null;
            cell = new Object();
        }
        while (before != null) {
            try {
                before.join();
                return true;
            } catch (InterruptedException e) {
                // of this thread, which nobody does
            }
        }
        return false;
    }

    static synchronized void endCell() {
        cell = null;
    }

    /** Interrupt the cell that runs, until it ends; nothing if none does. */
    static synchronized void strike(JavaKernel kernel) {
        if (cell != null && last == null) {
            last = new Interrupt(kernel, cell);
            last.start();
        }
    }

    /** Is this the thread of a cell that was interrupted, and has not noticed yet? */
    static boolean isInterruptedCell() {
        Thread thread = Thread.currentThread();
        return thread.isInterrupted() && thread.getName().startsWith(EXECUTOR);
    }

    @Override
    public void run() {
        while (cell == struck) {
            kernel.interrupt();
            LockSupport.parkNanos(LOOK_NS);
        }
        Set<Thread> left = Thread.getAllStackTraces().keySet();
        long end = System.nanoTime() + GRACE_NS;
        while (true) {
            left.removeIf(thread -> !runsStatement(thread));
            if (left.isEmpty()) {
                return;
            }
            if (System.nanoTime() > end) {
                stop(left);
                return;
            }
            LockSupport.parkNanos(LOOK_NS);
        }
    }

    private static void stop(Set<Thread> threads) {
        try {
            for (Thread thread : threads) {
                Thread.class.getMethod("stop").invoke(thread);
            }
        } catch (ReflectiveOperationException e) {
            // from Java 20 on there is no such force: it runs on
        }
    }

    private static boolean runsStatement(Thread thread) {
        if (thread.getName().startsWith(EXECUTOR)) {
            for (StackTraceElement frame : thread.getStackTrace()) {
                if (frame.getClassName().equals("java.util.concurrent.FutureTask")) {
                    return true;
                }
            }
        }
        return false;
    }
}
