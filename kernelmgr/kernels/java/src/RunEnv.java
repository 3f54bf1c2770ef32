package org.dflib.jjava.distro;

import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import jdk.internal.misc.Unsafe;

/**
 * Environment variables for one run, in all three places where Java code looks for them: the map
 * behind System.getenv and ProcessBuilder.environment, the process's own environment that other
 * children inherit (no Java API writes it: see {@link #inherit}), and the system properties, where
 * E2B puts them.
 */
final class RunEnv {
    private static final Unsafe MEMORY = Unsafe.getUnsafe();
    private static final Map<String, String> JAVA = writable();
    private static final long ENVIRON = symbol("environ"); // char ***, or 0

    private static final List<Long> garbage = new ArrayList<>(); // a child may just be reading it

    /**
     * Set them. Returns what puts everything back as it was.
     *
     * @throws IllegalArgumentException a name or a value that no environment can hold; nothing is set then
     */
    static Runnable apply(Map<?, ?> variables) {
        Map<String, String> now = checked(variables);
        Map<String, String> was = new HashMap<>();
        Map<String, String> wasProperty = new HashMap<>();
        now.forEach((name, value) -> {
            was.put(name, JAVA.put(name, value));
            wasProperty.put(name, System.setProperty(name, value));
        });
        Runnable disinherit = inherit(now);
        return () -> {
            disinherit.run();
            was.forEach((name, value) -> {
                if (value == null) {
                    JAVA.remove(name);
                } else {
                    JAVA.put(name, value);
                }
            });
            wasProperty.forEach((name, value) -> {
                if (value == null) {
                    System.clearProperty(name);
                } else {
                    System.setProperty(name, value);
                }
            });
        };
    }

    private static Map<String, String> checked(Map<?, ?> variables) {
        Map<String, String> result = new HashMap<>();
        variables.forEach((name, value) -> {
            String key = String.valueOf(name);
            if (key.isEmpty() || key.indexOf('=') >= 0 || key.indexOf('\0') >= 0 || !(value instanceof String)
                    || ((String) value).indexOf('\0') >= 0) {
                throw new IllegalArgumentException("environment variable '" + key + "': not a valid name or value");
            }
            result.put(key, (String) value);
        });
        return result;
    }

    @SuppressWarnings("unchecked")
    private static Map<String, String> writable() {
        try {
            Class<?> wrapper = Collections.unmodifiableMap(Map.of()).getClass();
            return (Map<String, String>) Kernelbridge.get(wrapper, "m", System.getenv());
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Replace libc's `environ` by a copy with these variables. Returns what puts the old one back. */
    private static Runnable inherit(Map<String, String> variables) {
        garbage.forEach(MEMORY::freeMemory);
        garbage.clear();
        if (ENVIRON == 0) {
            return () -> {};
        }
        long before = MEMORY.getAddress(ENVIRON);
        List<Long> mine = new ArrayList<>();
        List<Long> entries = new ArrayList<>();
        for (long p = before; p != 0 && MEMORY.getAddress(p) != 0; p += 8) {
            long entry = MEMORY.getAddress(p);
            if (variables.keySet().stream().noneMatch(name -> begins(entry, name + "="))) {
                entries.add(entry);
            }
        }
        variables.forEach((name, value) -> mine.add(string(name + "=" + value)));
        entries.addAll(mine);
        long array = MEMORY.allocateMemory(8L * (entries.size() + 1));
        for (int i = 0; i < entries.size(); i++) {
            MEMORY.putAddress(array + 8L * i, entries.get(i));
        }
        MEMORY.putAddress(array + 8L * entries.size(), 0);
        MEMORY.putAddress(ENVIRON, array);
        mine.add(array);
        return () -> {
            if (MEMORY.getAddress(ENVIRON) == array) {
                MEMORY.putAddress(ENVIRON, before);
            }
            garbage.addAll(mine);
        };
    }

    private static boolean begins(long string, String with) {
        byte[] bytes = with.getBytes(StandardCharsets.UTF_8);
        for (int i = 0; i < bytes.length; i++) {
            if (MEMORY.getByte(string + i) != bytes[i]) {
                return false;
            }
        }
        return true;
    }

    private static long string(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        long address = MEMORY.allocateMemory(bytes.length + 1L);
        for (int i = 0; i < bytes.length; i++) {
            MEMORY.putByte(address + i, bytes[i]);
        }
        MEMORY.putByte(address + bytes.length, (byte) 0);
        return address;
    }

    /** The address of a symbol in what the JVM itself has loaded, libc among it, or 0. */
    private static long symbol(String name) {
        for (Method m : ClassLoader.class.getDeclaredMethods()) {
            if (m.getName().equals("findNative")) {
                try {
                    m.setAccessible(true);
                    return m.getParameterCount() == 2
                            ? (long) m.invoke(null, null, name) // (loader, name), up to Java 21
                            : (long) m.invoke(null, null, null, name, name); // (loader, class, name, name)
                } catch (ReflectiveOperationException | RuntimeException e) {
                    // another Java: children get no variables of one run unless through environment()
                }
            }
        }
        return 0;
    }

    private RunEnv() {}
}
