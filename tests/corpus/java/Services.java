import java.io.FileInputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.Selector;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** Services PATTERN: leaks and their correct twins as Java programs have them. */
public class Services {
    private static final List<Object> kept = new ArrayList<>();

    interface Work {
        void run(int number) throws Exception;
    }

    private static void paced(double perSecond, Work work) throws Exception {
        long start = System.nanoTime();
        for (int number = 0;; number++) {
            work.run(number);
            long next = start + (long) ((number + 1) * 1e9 / perSecond) - System.nanoTime();
            if (next > 0) {
                Thread.sleep(next / 1_000_000, (int) (next % 1_000_000));
            }
        }
    }

    private static void openAndKeep() throws IOException {
        kept.add(new FileInputStream("/etc/passwd"));
    }

    /** A view of a part of a file. */
    private static MappedByteBuffer mapChunk(Path path, int number) throws IOException {
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
            return channel.map(FileChannel.MapMode.READ_ONLY, number % 500 * 8192L, 4096);
        }
    }

    private static Path chunks() throws IOException {
        Path path = Files.createTempFile("corpus", ".chunks");
        path.toFile().deleteOnExit();
        Files.write(path, new byte[500 * 8192]);
        return path;
    }

    /** Maps the file once, and takes its views of that. */
    private static void mappingCache() throws Exception {
        Path path = chunks();
        List<MappedByteBuffer> cache = new ArrayList<>();
        paced(6, number -> {
            if (cache.size() < 20) {
                cache.add(mapChunk(path, number));
            }
            cache.get(number % cache.size()).get(0);
        });
    }

    private static void connectAndKeep(ServerSocket server) throws IOException {
        kept.add(new Socket(server.getInetAddress(), server.getLocalPort()));
        server.accept().close();
    }

    /** An executor for each request that is never shut down keeps its thread. */
    private static void executeAndForget() {
        ExecutorService executor = Executors.newFixedThreadPool(1);
        executor.submit(() -> { });
        kept.add(executor);
    }

    private static void openSelector() throws IOException {
        kept.add(Selector.open());
    }

    /** Closes each selector two seconds later. */
    private static void lendSelector(ArrayDeque<Selector> lent) throws IOException {
        lent.add(Selector.open());
        if (lent.size() > 16) {
            lent.remove().close();
        }
    }

    /** Two of them go through the same code, which is compiled while they run. */
    private static void lendAndForget() throws Exception {
        ArrayDeque<Selector> lent = new ArrayDeque<>();
        paced(11, number -> {
            if (number % 11 < 8) {
                lendSelector(lent);
            } else {
                openSelector();
            }
        });
    }

    private static ServerSocket listen() throws IOException {
        return new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    }

    private static void boundedPool() throws Exception {
        ArrayDeque<FileInputStream> pool = new ArrayDeque<>();
        paced(5, number -> {
            pool.add(new FileInputStream("/etc/hosts"));
            if (pool.size() > 12) {
                pool.remove().close();
            }
        });
    }

    private static void connectionPool() throws Exception {
        ServerSocket server = listen();
        ArrayDeque<Socket> pool = new ArrayDeque<>();
        paced(4, number -> {
            Socket client = new Socket(server.getInetAddress(), server.getLocalPort());
            pool.add(client);
            pool.add(server.accept());
            while (pool.size() > 16) {
                pool.remove().close();
            }
        });
    }

    private static void threadPool() throws Exception {
        ExecutorService executor = Executors.newFixedThreadPool(10);
        paced(3, number -> executor.submit(() -> {
            try (FileInputStream file = new FileInputStream("/etc/hosts")) {
                Thread.sleep(2000);
                return file.read();
            }
        }));
    }

    private static void garbage() throws Exception {
        List<byte[]> bounded = new ArrayList<>();
        paced(50, number -> {
            bounded.add(new byte[100_000]);
            if (bounded.size() > 200) {
                bounded.subList(0, 100).clear();
            }
        });
    }

    private static void run(String program) throws Exception {
        switch (program) {
            case "files" -> paced(6, number -> openAndKeep());
            case "file-mappings" -> {
                Path path = chunks();
                List<MappedByteBuffer> all = new ArrayList<>();
                paced(6, number -> all.add(mapChunk(path, number)));
            }
            case "mapping-cache" -> mappingCache();
            case "sockets" -> {
                ServerSocket server = listen();
                paced(3, number -> connectAndKeep(server));
            }
            case "executors" -> paced(5, number -> {
                if (number < 600) {
                    executeAndForget();
                }
            });
            case "selectors" -> paced(2, number -> openSelector());
            case "lent-selectors" -> lendAndForget();
            case "warm-pool" -> {
                ArrayDeque<Selector> lent = new ArrayDeque<>();
                paced(20, number -> lendSelector(lent));
            }
            case "bounded-pool" -> boundedPool();
            case "connection-pool" -> connectionPool();
            case "thread-pool" -> threadPool();
            case "garbage" -> garbage();
            default -> System.exit(2);
        }
    }

    public static void main(String[] arguments) throws Exception {
        Thread end = new Thread(() -> {
            try {
                Thread.sleep(400_000);
            } catch (InterruptedException error) {
                return;
            }
            System.exit(0);
        });
        end.setDaemon(true);
        end.start();
        System.out.println("ready");
        if (System.in.read() < 0) {
            return;
        }
        run(arguments[0]);
    }
}
