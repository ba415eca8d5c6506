// services.js PATTERN: leaks and their correct twins as Node programs have them.
'use strict';
const fs = require('fs');
const http = require('http');
const net = require('net');
const child = require('child_process');

const kept = [];

function every(perSecond, work) {
  let number = 0;
  setInterval(() => work(number++), 1000 / perSecond);
}

function openAndKeep() {
  kept.push(fs.openSync('/etc/passwd'));
}

function connectAndKeep(port) {
  kept.push(net.connect(port, '127.0.0.1').on('error', () => {}));
}

function serve(handler, then) {
  const server = net.createServer(handler).listen(0, '127.0.0.1', () => then(server.address().port));
}

// Servers that answer only when asked hold what clients forget.
function sockets() {
  serve({ allowHalfOpen: true }, port => every(5, () => connectAndKeep(port)));
}

function startAndKeep() {
  kept.push(child.spawn('sleep', ['1000'], { stdio: ['pipe', 'ignore', 'ignore'] }));
}

// Children that never end, each with a pipe.
function children() {
  every(5, number => number < 300 && startAndKeep());
}

async function openByPromise() {
  kept.push(await fs.promises.open('/etc/hosts'));
}

// Works with objects of ever other shapes, so its code is compiled and thrown away again.
function openBesideWork(number) {
  const object = { step: number % 3 ? 1 : 0.5 };
  if (number % 7 === 0) {
    object['shape' + number] = 1;
  }
  for (let sum = 0, n = 0; n < 20000; n++) {
    sum += object.step * n;
  }
  return fs.openSync('/etc/passwd');
}

// Correct ones.
function movingPool() {
  const pool = [];
  every(8, number => {
    pool.push(openBesideWork(number));
    if (pool.length > 12) {
      fs.closeSync(pool.shift());
    }
  });
}

function streams() {
  every(10, () => fs.createReadStream('/etc/hosts').resume());
}

function keepAlive() {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 6 });
  const server = http.createServer((request, response) => response.end('ok'));
  server.listen(0, '127.0.0.1', () => {
    const port = server.address().port;
    every(15, () => http.get({ port, host: '127.0.0.1', agent }, response => response.resume()));
  });
}

function boundedCache() {
  const cache = [];
  every(6, () => {
    cache.push(fs.openSync('/etc/hosts'));
    if (cache.length > 15) fs.closeSync(cache.shift());
  });
}

function commands() {
  every(3, () => child.execFile('true'));
}

function longPolls() {
  serve(socket => socket.on('error', () => {}).resume(), port => {
    every(3, number => {
      const client = net.connect(port, '127.0.0.1');
      setTimeout(() => client.destroy(), 3000 + (number % 5) * 500);
    });
  });
}

const programs = {
  files: () => every(6, openAndKeep),
  'moving-code': () => every(5, number => kept.push(openBesideWork(number))),
  'moving-pool': movingPool,
  promises: () => every(3, openByPromise),
  sockets, children, streams, 'keep-alive': keepAlive, 'bounded-cache': boundedCache, commands,
  'long-polls': longPolls,
};
setTimeout(() => process.exit(0), 400000);
process.stdout.write('ready\n');
process.stdin.once('data', () => programs[process.argv[2]]());
process.stdin.once('end', () => process.exit(0));
