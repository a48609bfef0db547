// Loaded into NNI's manager (node --require) before its own code. Facts of NNI 3.0 that it mends:
// 1. The web server listens on all interfaces, without a login: NASREC_LISTEN names one address.
// 2. It outlives the command that started it: NASREC_OWNER is that command's process id.
// 3. Two trials that start together may get each other's parameters (whoever asks first gets the first), so that
//    the web page shows of one what the other did: each gets its own.
// 4. A tuner that has not connected after 10 s, on a busy machine, is given up: it has two minutes.
// 5. A trial that asks for as many GPUs as there are never gets them (one on a machine with one): it does.
'use strict';
const { NODE_OPTIONS, NASREC_LISTEN, NASREC_OWNER, ...rest } = process.env;
process.env = rest; // none of this is for the tuner's and the trials' processes

if (NASREC_LISTEN) {
    const net = require('net');
    const listen = net.Server.prototype.listen;
    net.Server.prototype.listen = function (port, ...more) {
        const alone = (typeof port === 'number' || /^\d+$/.test(port)) && typeof more[0] !== 'string';
        return alone ? listen.call(this, port, NASREC_LISTEN, ...more) : listen.call(this, port, ...more);
    };
}

if (NASREC_OWNER) {
    const watch = setInterval(() => {
        if (process.ppid === Number(NASREC_OWNER)) return;
        clearInterval(watch);
        setTimeout(() => process.kill(0, 'SIGKILL'), 20000).unref(); // the whole group, if it cannot end by itself
        process.kill(process.pid, 'SIGTERM');
    }, 500);
    watch.unref();
}

const CONNECT = 120000; // milliseconds
const Module = require('module');
const load = Module._load;
Module._load = function (name, ...more) {
    const found = load.call(this, name, ...more);
    if (name.endsWith('training_service/v3/compat') && found.V3asV1 && !found.V3asV1.nasrec) {
        found.V3asV1 = class extends found.V3asV1 {
            static nasrec = true;
            async submitTrialJob(form) {
                const trial = await super.submitTrialJob(form);
                const at = this.parameters.lastIndexOf(form.hyperParameters.value);
                if (at >= 0) {
                    this.parameters.splice(at, 1);
                    this.allocatedParameters.set(trial.id, form.hyperParameters.value);
                }
                return trial;
            }
        };
    }
    if (name.endsWith('task_scheduler') && found.TaskScheduler && !found.TaskScheduler.nasrec) {
        const schedule = found.TaskScheduler.prototype.schedule;
        found.TaskScheduler.nasrec = true;
        found.TaskScheduler.prototype.schedule = function (experiment, trial, number, ...more) {
            const all = number >= this.gpus.length && Math.round(number) === this.gpus.length;
            if (!all) return schedule.call(this, experiment, trial, number, ...more);
            this.gpus.push({ index: -1, util: Infinity }); // one more, the last choice; it is taken away at once
            const answer = schedule.call(this, experiment, trial, number, ...more);
            this.gpus.pop();
            return answer;
        };
    }
    if (name.endsWith('tuner_command_channel') && found.getTunerServer) {
        const server = found.getTunerServer();
        server.init = () => {
            const late = new Error('the tuner did not connect in two minutes, see dispatcher.log');
            if (!server.connect.settled) {
                setTimeout(() => { if (!server.connect.settled) server.connect.reject(late); }, CONNECT).unref();
            }
            return server.connect.promise;
        };
    }
    return found;
};
