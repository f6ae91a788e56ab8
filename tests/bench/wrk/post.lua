-- The same request as the contestants send, for wrk: a 300-byte JSON POST.
local head = '{"event":"\\\\assignsubmission_onlinetext\\\\event\\\\submission_created","user":4,"filler":"'
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = head .. string.rep("x", 300 - #head - 2) .. '"}'

function done(summary, latency, requests)
    local errors = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status + summary.errors.timeout
    io.write(string.format("RESULT %d %d %d %d\n", summary.requests, summary.duration, errors, latency.mean))
end
