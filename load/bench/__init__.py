"""The data plane beside what people run today: `make bench`.

    machine > work > peers, lychgate > rounds > latency, memory > goals > report

`machine` says where everything runs, `work` what is asked, `peers` and `lychgate` who answers; `rounds` measures them
in turn, with `wrk`; `suite` puts all of it together. Nothing outside this folder imports it but its test.
"""
