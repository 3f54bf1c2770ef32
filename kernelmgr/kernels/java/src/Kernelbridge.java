package org.dflib.jjava.distro;

import java.lang.reflect.Field;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.dflib.jjava.jupyter.channels.JupyterConnection;
import org.dflib.jjava.jupyter.channels.ShellChannel;
import org.dflib.jjava.jupyter.channels.ShellHandler;
import org.dflib.jjava.jupyter.channels.ShellReplyEnvironment;
import org.dflib.jjava.jupyter.kernel.KernelConnectionProperties;
import org.dflib.jjava.jupyter.messages.Message;
import org.dflib.jjava.jupyter.messages.MessageType;
import org.dflib.jjava.jupyter.messages.publish.PublishError;
import org.dflib.jjava.jupyter.messages.reply.ErrorReply;
import org.dflib.jjava.jupyter.messages.reply.ExecuteReply;
import org.dflib.jjava.jupyter.messages.request.ExecuteRequest;
import org.dflib.jjava.jupyter.messages.request.InterruptRequest;
import org.dflib.jjava.kernel.JavaKernel;
import org.dflib.jjava.kernel.magics.ClasspathMagic;
import org.dflib.jjava.kernel.magics.LoadMagic;
import org.dflib.jjava.kernel.magics.TimeMagic;
import org.dflib.jjava.maven.MavenDependencyResolver;
import org.dflib.jjava.maven.magics.LoadFromPomCellMagic;
import org.dflib.jjava.maven.magics.LoadFromPomLineMagic;
import org.dflib.jjava.maven.magics.MavenMagic;
import org.dflib.jjava.maven.magics.MavenRepoMagic;

/**
 * JJava with what the gateway adds. Started with the connection file, as JJava's own main class is,
 * and in its package, whose Env that needs.
 *
 * <ul>
 *   <li>An execute_request's metadata {"kernelbridge": {"env": {NAME: VALUE}}} holds for that one
 *       run and is undone exactly after it; see {@link RunEnv}. A "cwd" there is refused: a JVM
 *       cannot change its directory.
 *   <li>Environment variables are system properties too, where none has that name: programs written
 *       for E2B look for them there.
 *   <li>Output is not dropped where the client is slow, and lines are sent together; see {@link
 *       Output}.
 *   <li>A request is looked for every 4 ms, not every 50.
 *   <li>An interrupt also counts between two statements, and stops a loop that never sleeps, in a
 *       JVM that can (up to Java 19); see {@link Interrupt}.
 * </ul>
 */
public final class Kernelbridge {
    private static final long LOOK_MS = 4;

    public static void main(String[] args) {
        try {
            serve(Path.of(args[0]));
        } catch (Throwable t) { // threads of the connection would keep a JVM that serves nobody
            t.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
    }

    private static void serve(Path connectionFile) throws Exception {
        System.setProperty("java.util.logging.SimpleFormatter.format", "[%4$.1s %3$s] %5$s%n");
        System.getenv().forEach(System.getProperties()::putIfAbsent);
        JupyterConnection connection = new JupyterConnection(
                KernelConnectionProperties.parse(Files.readString(connectionFile)));
        connection.getIOPub().setXpubNoDrop(true);
        for (String channel : new String[] {"shell", "control"}) {
            set(ShellChannel.class, "sleep", get(JupyterConnection.class, channel, connection), LOOK_MS);
        }

        JavaKernel kernel = kernel();
        Output out = Output.replace(kernel.getIO(), false);
        Output err = Output.replace(kernel.getIO(), true);
        kernel.onStartup();
        kernel.addToClasspath(Env.extraClasspath());
        Env.startupSnippets().forEach(s -> kernel.evalBuilder(s).resolveMagics().eval());

        kernel.becomeHandlerForConnection(connection);
        ShellHandler<ExecuteRequest> execute = connection.getHandler(MessageType.EXECUTE_REQUEST);
        connection.setHandler(MessageType.EXECUTE_REQUEST, (env, request) -> {
            try {
                if (Interrupt.beginCell()) {
                    out.renew();
                    err.renew();
                }
                run(env, request, execute);
            } finally {
                out.send();
                err.send();
                Interrupt.endCell();
            }
        });
        ShellHandler<InterruptRequest> interrupt = connection.getHandler(MessageType.INTERRUPT_REQUEST);
        connection.setHandler(MessageType.INTERRUPT_REQUEST, (env, request) -> {
            Interrupt.strike(kernel);
            interrupt.handle(env, request);
        });
        connection.connect();
        connection.waitUntilClose();
    }

    /** As in JJava's main, less the magics that it calls deprecated, and its timeout. */
    private static JavaKernel kernel() {
        MavenDependencyResolver maven = new MavenDependencyResolver();
        TimeMagic time = new TimeMagic();
        return JavaKernel.builder()
                .name("JJava")
                .version("1.0-a8")
                .extensionsEnabled(Env.extensionsEnabled())
                .compilerOpts(Env.compilerOpts())
                .lineMagic("load", new LoadMagic())
                .lineMagic("classpath", new ClasspathMagic())
                .lineMagic("time", time)
                .lineMagic("maven", new MavenMagic(maven))
                .lineMagic("mavenRepo", new MavenRepoMagic(maven))
                .lineMagic("loadFromPOM", new LoadFromPomLineMagic(maven))
                .cellMagic("loadFromPOM", new LoadFromPomCellMagic(maven))
                .cellMagic("time", time)
                .build();
    }

    private static void run(ShellReplyEnvironment env, Message<ExecuteRequest> request,
            ShellHandler<ExecuteRequest> execute) {
        Object ours = request.getNonNullMetadata().get("kernelbridge");
        Runnable restore;
        try {
            restore = ours instanceof Map ? settings((Map<?, ?>) ours) : () -> {};
        } catch (IllegalArgumentException | NotSupported e) {
            env.setBusyDeferIdle();
            env.publish(PublishError.of(e, it -> List.of(it.getMessage())));
            env.defer().replyError(ExecuteReply.MESSAGE_TYPE.error(), ErrorReply.of(e));
            return;
        }
        try {
            execute.handle(env, request);
        } finally {
            restore.run();
        }
    }

    private static Runnable settings(Map<?, ?> ours) {
        if (ours.get("cwd") != null) {
            throw new NotSupported("java cannot change its directory: make a context with that cwd");
        }
        Object env = ours.get("env");
        return env instanceof Map ? RunEnv.apply((Map<?, ?>) env) : () -> {};
    }

    static Object get(Class<?> type, String name, Object of) throws ReflectiveOperationException {
        Field field = type.getDeclaredField(name);
        field.setAccessible(true);
        return field.get(of);
    }

    static void set(Class<?> type, String name, Object of, Object value) throws ReflectiveOperationException {
        Field field = type.getDeclaredField(name);
        field.setAccessible(true);
        field.set(of, value);
    }

    /** Its name is the error's. */
    @SuppressWarnings("serial")
    private static final class NotSupported extends RuntimeException {
        NotSupported(String message) {
            super(message);
        }
    }

    private Kernelbridge() {}
}
