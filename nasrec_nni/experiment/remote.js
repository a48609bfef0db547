// Loaded after manager.js where trials run on other machines by SSH. Facts of NNI 3.0 that it mends:
// 1. On every host it runs `pip install nni --upgrade`: packages change under other work, and where pip is refused or
//    no index is near, the experiment ends or waits. Nothing is installed: the host must have nasrec-nni already.
// 2. Hosts must reach the manager, and with that port they, and whoever is in their network, get all of its web
//    server, which has no login. NASREC_HOSTS names the address for them; there only their own channel answers.
// 3. On each host the trial keeper listens on all interfaces: whoever reaches that port can report results. There it
//    is made to listen on the loopback interface, where its trials are.
'use strict';
const net = require('net');
const address = process.env.NASREC_HOSTS;
const WEB = Number(process.argv[process.argv.indexOf('--port') + 1]); // one higher is the channel of older services
delete process.env.NASREC_HOSTS;

if (address) {
    const listen = net.Server.prototype.listen;
    net.Server.prototype.listen = function (port, ...more) {
        if (/^\d+$/.test(port) && typeof more[0] !== 'string') openFor(this, Number(port));
        return listen.call(this, port, ...more);
    };

    const openFor = (server, port) => {
        const hosts = new WeakSet();
        const { emit } = server;
        server.emit = function (event, request, ...more) {
            const channel = event === 'upgrade' && (port !== WEB || request.url.startsWith('/platform/'));
            if ((event === 'request' || event === 'upgrade') && hosts.has(request.socket) && !channel) {
                request.socket.destroy();
                return true;
            }
            return emit.call(this, event, request, ...more);
        };
        const door = net.createServer(socket => {
            hosts.add(socket);
            server.emit('connection', socket); // as if it had come to the server itself
        });
        door.on('error', error => {
            console.error(`NASREC_HOSTS=${address}: ${error.message}`); // into nnictl_stderr.log
            if (port === WEB) process.exit(1); // of the others NNI opens some twice, and means it
        });
        listen.call(door, port, address);
        door.unref();
        server.on('close', () => door.close());
    };
}

const WHERE = `-c "from importlib.resources import files; print(files('nasrec_nni.experiment') / 'manager.js')"`;
const Module = require('module');
const load = Module._load;
Module._load = function (name, ...more) {
    const found = load.call(this, name, ...more);
    if (name === './ssh' && found.Ssh && !found.Ssh.nasrec) {
        found.Ssh.nasrec = true;
        const { run } = found.Ssh.prototype;
        found.Ssh.prototype.run = async function (command) {
            const install = command.match(/^(\S+) -m pip install nni --upgrade$/);
            if (install) return (this.preloaded = await run.call(this, `${install[1]} ${WHERE}`));
            if (!command.includes('nni_manager_scripts.launch_trial_keeper')) return run.call(this, command);
            return run.call(this, `NASREC_LISTEN=127.0.0.1 NODE_OPTIONS='--require "${this.preloaded}"' ${command}`);
        };
    }
    return found;
};
