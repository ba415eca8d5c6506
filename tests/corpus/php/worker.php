<?php
// worker.php PATTERN: a long-running worker, leaking and correct.

function paced(float $perSecond, callable $work): void
{
    $start = microtime(true);
    for ($number = 0;; $number++) {
        $work($number);
        $left = $start + ($number + 1) / $perSecond - microtime(true);
        if ($left > 0) {
            usleep((int) ($left * 1e6));
        }
    }
}

class Registry
{
    public static array $kept = [];
}

function open_and_keep(): void
{
    Registry::$kept[] = fopen('/etc/passwd', 'r');
}

function start_and_keep(): void
{
    Registry::$kept[] = proc_open(['true'], [['pipe', 'r']], $pipes);
}

function pair_and_keep(): void
{
    Registry::$kept[] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
}

$programs = [
    'files' => fn() => paced(5, fn() => open_and_keep()),
    'processes' => fn() => paced(5, fn() => start_and_keep()),
    'pairs' => fn() => paced(3, fn() => pair_and_keep()),
    // A handle that goes out of scope is closed.
    'scoped' => fn() => paced(20, function () {
        $file = fopen('/etc/hosts', 'r');
        fgets($file);
    }),
    'bounded' => fn() => paced(6, function (int $number) {
        Registry::$kept[$number % 10] = fopen('/etc/hosts', 'r');
    }),
    // Jobs that gather their files and drop them at the end.
    'jobs' => fn() => paced(10, function (int $number) {
        Registry::$kept[] = fopen('/etc/hosts', 'r');
        if ($number % 45 == 44) {
            Registry::$kept = [];
        }
    }),
];
pcntl_alarm(400);
echo "ready\n";
if (fgets(STDIN) === false) {
    exit(0);
}
$programs[$argv[1]]();
