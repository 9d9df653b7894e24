"""Readers of traces, on made-up samples of each format: what is read, bad lines, folders, what a file is."""

import gzip
import io
import json
import warnings

import numpy as np
import pytest

from kvgym.workload import FORMATS, TraceError, detect, figures, read_mooncake, read_trace
from tests.workload.samples import agent_sessions, mooncake_rows, write

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,4808,10
2023-11-16 18:17:04.0319600,3180,8
2023-11-16 18:17:13.9799600,110,0
"""
AZURE_2024 = AZURE.replace("00,", "00+00:00,")
BURST = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type,Session ID
5,ChatGPT,472,18,490,Conversation log,a
45,GPT-4,1087,230,1317,API log,
118,ChatGPT,417,276,693,Conversation log,a
"""
VIDUR = "num_prefill_tokens,num_decode_tokens,pd_ratio\n1000,10,100.0\n2000,20,100.0\n"


def bailian_rows():
    """A chat of two turns and another one, 16 tokens a block, with blocks of 64 bits."""
    big = 2**63 + 5
    rows = [(159, -1, 0.5, 40, 8, [big, 2, 3]), (160, -1, 0.9, 20, 4, [7, 8]), (161, 159, 9.5, 60, 5, [big, 2, 4, 5])]
    names = ("chat_id", "parent_chat_id", "timestamp", "input_length", "output_length", "hash_ids")
    return [dict(zip(names, row, strict=True), type="text", turn=1) for row in rows]


CHATS = [
    {
        "id": "a",
        "conversations": [
            {"from": "human", "value": "What is a page of a cache, and why?"},
            {"from": "gpt", "value": "A page holds the keys and values of some tokens, say sixteen of them."},
            {"from": "human", "value": "Thank you."},
            {"from": "gpt", "value": "You are welcome."},
        ],
    },
    {
        "id": "b",
        "conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Good morning to you"}],
    },
]
LMSYS = [
    {
        "conversation_id": chat["id"],
        "conversation": [
            {"role": "user" if one["from"] == "human" else "assistant", "content": one["value"]}
            for one in chat["conversations"]
        ],
    }
    for chat in CHATS
]


def calls():
    """Two turns of a chat, the later one logged first; lengths alone; tokens."""
    first = [{"role": "system", "content": "Be brief." * 20}, {"role": "user", "content": "How many GPUs are there?"}]
    answer = {"role": "assistant", "content": "There are eight of them, " * 10}
    return [
        {
            "timestamp": "2026-01-01T00:01:00Z",
            "request": {"messages": [*first, answer, {"role": "user", "content": "Why?"}], "user": "u"},
            "response": {"choices": [{"message": {"role": "assistant", "content": "I do not know."}}]},
        },
        {
            "timestamp": "2026-01-01T00:00:00Z",
            "request": {"messages": first, "user": "u"},
            "response": {"choices": [{"message": answer}]},
        },
        {"timestamp": "2026-01-01T00:00:30Z", "usage": {"prompt_tokens": 100, "completion_tokens": 5}},
        {"timestamp": "2026-01-01T00:00:40Z", "prompt_token_ids": [1, 2, 3], "output_token_ids": [4, 5]},
    ]


def samples(folder):
    """A file of each format."""
    texts = {"azure.csv": AZURE, "azure2024.csv": AZURE_2024, "burst.csv": BURST, "vidur.csv": VIDUR}
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "chats.json").write_text(json.dumps(CHATS, indent=1))
    (folder / "packed.json.gz").write_bytes(gzip.compress(json.dumps(CHATS).encode()))
    return {
        write(folder / "mooncake.jsonl", mooncake_rows(30)): "mooncake",
        write(folder / "bailian.jsonl", bailian_rows()): "bailian",
        write(folder / "agents.jsonl.gz", agent_sessions(3), compress=True): "agent-sessions",
        **{folder / name: "lengths" for name in texts},
        **{folder / name: "conversations" for name in ("chats.json", "packed.json.gz")},
        write(folder / "lmsys.jsonl", LMSYS): "conversations",
        write(folder / "calls.jsonl", calls()): "access-log",
    }


def test_each_file_is_known(tmp_path):
    found = samples(tmp_path)
    assert set(found.values()) | {"servegen"} == set(FORMATS)
    for path, name in found.items():
        assert detect(path) == name
        args = {"rate": 2.0} if path.name == "vidur.csv" else {}
        assert read_trace(path, 16, **args).content_hash() == FORMATS[name].read(path, 16, **args).content_hash()


def test_an_unknown_file(tmp_path):
    path = write(tmp_path / "a.jsonl", [{"timestamp": 1, "input_length": 5, "hash_ids": []}])
    with pytest.raises(TraceError) as caught:
        read_trace(path, 16)
    assert "the format is not known (nearest is 'mooncake'; the first record has ['hash_ids'" in str(caught.value)
    assert all(f"\n  {name}: " in str(caught.value) for name in FORMATS)
    for text in ("nothing of the kind\n", "[]", "[1, 2]"):
        path.write_text(text)
        with pytest.raises(TraceError, match="the format is not known"):
            read_trace(path, 16)


def test_the_wrong_format_is_named(tmp_path):
    path = write(tmp_path / "a.jsonl", bailian_rows())
    with pytest.raises(
        TraceError, match=r"line 1: expected a field 'bs'.*\(the fields are those of format 'bailian'\)"
    ):
        read_trace(path, 16, format="agent-sessions")
    with pytest.raises(ValueError, match=r"format must be one of mooncake, bailian, .*; got 'csv'"):
        read_trace(path, 16, format="csv")
    with pytest.raises(ValueError, match="arguments of format 'bailian': 'think_s'"):
        read_trace(path, 16, think_s=1.0)


def test_lengths(tmp_path):
    for text in (AZURE, AZURE_2024):
        w = FORMATS["lengths"].read(io.StringIO(text), 16)
        assert w.requests["arrival_ps"].tolist() == pytest.approx([0, 52 * 10**9, 10 * 10**12], abs=2e6)
        assert w.requests["prompt_tokens"].tolist() == [4808, 3180, 110]
        assert w.requests["output_tokens"].tolist() == [10, 8, 1]
        assert w.n_shared == 0
    w = FORMATS["lengths"].read(io.StringIO(BURST), 16)
    assert (w.requests["arrival_ps"] // 10**12).tolist() == [0, 40, 113]
    assert w.requests["session"].tolist() == [0, 1, 0] and w.requests["turn"].tolist() == [0, 0, 1]
    with pytest.raises(TraceError, match=r"expected one of TIMESTAMP, .*, got num_prefill.*; or give a rate of arr"):
        FORMATS["lengths"].read(io.StringIO(VIDUR), 16)
    w = FORMATS["lengths"].read(io.StringIO(VIDUR), 16, rate=2.0)
    assert w.requests["output_tokens"].tolist() == [10, 20]


def test_lengths_as_json_lines():
    rows = [
        {"timestamp": 7.5, "input_length": 30, "output_length": 2},
        {"timestamp": 9, "input_length": 1e9, "output_length": 2},
    ]
    w = FORMATS["lengths"].read(io.StringIO(json.dumps(rows[0])), 16)
    assert w.requests["prompt_tokens"].tolist() == [30]
    rows[1]["input_length"] = 1e10
    with pytest.raises(TraceError, match=r"line 2: expected 'input_length' to be an integer >= 1, got 10000000000.0"):
        FORMATS["lengths"].read(io.StringIO("\n".join(map(json.dumps, rows))), 16)


def test_unsorted_rows_are_sorted():
    head, *rows = BURST.splitlines()
    shuffled = "\n".join([head, rows[2], rows[0], rows[1]])
    read = FORMATS["lengths"].read
    assert read(io.StringIO(shuffled), 16).content_hash() == read(io.StringIO(BURST), 16).content_hash()


def test_chats_of_bailian(tmp_path):
    w = read_trace(write(tmp_path / "a.jsonl", bailian_rows()), 16)
    assert w.requests["session"].tolist() == [0, 1, 0] and w.requests["turn"].tolist() == [0, 0, 1]
    assert w.requests["arrival_ps"].tolist() == [0, 4 * 10**11, 9 * 10**12]
    assert w.infinite_hit_rate() == pytest.approx(32 / 120)  # ids of 64 bits are equal or not, as they are


@pytest.mark.parametrize("ids", [[2**64 - 1, 2**63], [-1, -(2**63)], [2**62, 2**62 + 1]])
def test_ids_of_64_bits(ids):
    rows = [{"timestamp": t, "input_length": 1024, "output_length": 1, "hash_ids": ids} for t in range(2)]
    rows[1]["hash_ids"] = [ids[0], 3]
    w = read_mooncake(io.StringIO("\n".join(map(json.dumps, rows))), 16)
    assert w.infinite_hit_rate() == pytest.approx(512 / 2048)


@pytest.mark.parametrize("chats", [CHATS, LMSYS])
def test_answers_of_conversations_hit(tmp_path, chats):
    w = read_trace(write(tmp_path / "a.jsonl", chats), 4, think_s=5.0, template_tokens=3)
    assert w.requests["predecessor"].tolist() == [-1, 0, -1] and w.requests["session"].tolist() == [0, 0, 1]
    question, answer = (len(one["value"]) for one in CHATS[0]["conversations"][:2])
    first = int(w.requests["prompt_tokens"][0])
    assert first == 3 + -(-question // 4) + 3
    assert w.requests["output_tokens"][0] == -(-answer // 4)
    shared = (first + int(w.requests["output_tokens"][0]) - 1) // 4  # pages that the first turn leaves
    hit = figures(w, arrivals=np.arange(3.0)).infinite_hit * w.requests["prompt_tokens"].sum()
    assert hit == pytest.approx(4 * shared)


def test_a_tokenizer(tmp_path, monkeypatch):
    (tmp_path / "my_tokens.py").write_text(
        "def words(text):\n    return [hash_of(w) for w in text.split()]\n"
        "def hash_of(word):\n    return sum(map(ord, word))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = write(tmp_path / "a.jsonl", CHATS)
    w = read_trace(path, 1, tokenizer="my_tokens:words", template_tokens=0)
    assert w.requests["prompt_tokens"].tolist() == [9, 9 + 14 + 2, 1]
    with pytest.raises(ValueError, match="tokenizer 'my_tokens:none'"):
        read_trace(path, 1, tokenizer="my_tokens:none")


def test_an_access_log(tmp_path):
    w = read_trace(write(tmp_path / "a.jsonl", calls()), 4, template_tokens=0)
    assert (w.requests["arrival_ps"] // 10**12).tolist() == [0, 30, 40, 60]
    assert w.requests["session"].tolist() == [0, 1, 2, 0]
    assert w.requests["prompt_tokens"].tolist() == [45 + 6, 100, 3, 45 + 6 + 63 + 1]
    assert w.requests["output_tokens"].tolist() == [63, 5, 2, 4]
    assert figures(w).infinite_hit == pytest.approx(4 * ((45 + 6 + 63 - 1) // 4) / (51 + 100 + 3 + 115))
    lengths = read_trace(write(tmp_path / "b.jsonl", calls()[2:3]), 4)
    assert lengths.requests["prompt_tokens"].tolist() == [100]


def test_a_prompt_of_another_length_than_its_text(tmp_path):
    call = {"created": 5, "prompt": "abcd" * 10, "usage": {"prompt_tokens": 16, "completion_tokens": 3}}
    longer = {"created": 6, "prompt": "abcd" * 10, "usage": {"prompt_tokens": 20, "completion_tokens": 3}}
    w = read_trace(write(tmp_path / "a.jsonl", [call, longer]), 4)
    assert w.requests["prompt_tokens"].tolist() == [16, 20]
    assert figures(w).infinite_hit == pytest.approx(8 / 36)


BAD = {
    "mooncake.jsonl": '{"timestamp": 0}\n',
    "bailian.jsonl": "not JSON\n",
    "agents.jsonl.gz": '{"bs": 64, "tool": 1, "sys": 1, "reqs": [{"t": 0}]}\n',
    "azure.csv": "2023-11-16 18:17:05.9,many,3\n",
    "burst.csv": "1,2\n",
    "lmsys.jsonl": '{"conversation": [{"role": "user"}]}\n',
    "calls.jsonl": '{"created": "yesterday", "usage": {"prompt_tokens": 3, "completion_tokens": 1}}\n',
}


@pytest.mark.parametrize("name", BAD)
def test_bad_lines_are_skipped_and_counted(tmp_path, name):
    path, format = next(one for one in samples(tmp_path).items() if one[0].name == name)
    good = read_trace(path, 16).content_hash()
    data = path.read_bytes()
    lines = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode().splitlines(keepends=True)
    path.write_text("".join([*lines[:2], BAD[name], *lines[2:]]))
    with pytest.raises(TraceError, match=r"line 3[:,] "):
        read_trace(path, 16)
    with pytest.warns(UserWarning, match=rf"skipped 1 of \d+ lines; the first: .*{name}, line 3"):
        assert read_trace(path, 16, skip_bad=True).content_hash() == good
    path.write_text("".join([lines[0] if name.endswith("csv") else "", BAD[name]]))
    with pytest.raises(TraceError, match=r"line \d[:,] "):  # nothing else is there
        read_trace(path, 16, format=format, skip_bad=True)


def test_lines_in_front(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("# made up\nan export, of today\n" + AZURE)
    with pytest.raises(TraceError, match=r"line 2: expected one of TIMESTAMP, .*, got an export, of today"):
        read_trace(path, 16, format="lengths")
    assert len(read_trace(path, 16, format="lengths", header_lines=2)) == 3


def test_a_folder(tmp_path):
    rows = mooncake_rows(40)
    folder = tmp_path / "parts"
    folder.mkdir()
    write(folder / "b.jsonl.gz", rows[20:], compress=True)
    write(folder / "a.jsonl", rows[:20])
    (folder / "README.md").write_text("what this is")
    whole = read_trace(write(tmp_path / "all.jsonl", rows), 16)
    assert read_trace(folder, 16).content_hash() == whole.content_hash()
    (tmp_path / "none").mkdir()
    with pytest.raises(TraceError, match="expected at least one file in the folder"):
        read_trace(tmp_path / "none", 16)


def test_seconds_taken_for_milliseconds():
    rows = [{"timestamp": i, "input_length": 5000, "output_length": 1, "hash_ids": list(range(10))} for i in range(200)]
    text = "\n".join(map(json.dumps, rows))
    with pytest.warns(UserWarning, match=r"offers 5,025,126 prompt tokens a second.*time_unit='s'"):
        read_mooncake(io.StringIO(text), 512)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        w = read_mooncake(io.StringIO(text), 512, time_unit="s")
    assert w.requests["arrival_ps"][-1] == 199 * 10**12


def test_requests_beyond_the_model_are_dropped_with_what_follows(tmp_path):
    path = write(tmp_path / "a.jsonl", mooncake_rows(100))
    whole = read_trace(path, 16)
    tokens = whole.requests["prompt_tokens"] + whole.requests["output_tokens"]
    cut = read_trace(path, 16, max_model_len=int(np.median(tokens)))
    assert len(cut) == (tokens <= np.median(tokens)).sum() and cut.n_dropped == 100 - len(cut)
    with pytest.raises(ValueError, match="max_model_len must be large enough"):
        read_trace(path, 16, max_model_len=2)
    with pytest.raises(ValueError, match="max_model_len must be an integer >= 2, got 'x'"):
        read_trace(path, 16, max_model_len="x")
    chats = read_trace(write(tmp_path / "b.jsonl", CHATS), 4, max_model_len=30)
    assert len(chats) == 1 and chats.n_dropped == 2  # the second turn goes with the first one


def servegen(folder, rate=2.0, clients=3, windows=4):
    """Tables of clients; the last one has no lengths."""
    shares = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
    lines = ["client_id,window_start_s,rate_rps,iat_cv,family,shape,scale"]
    for start in range(windows):
        for one in range(clients):
            lines.append(f"{one},{1200 + 600 * start},{rate},{1.0 + one},{('Gamma', 'Weibull')[one % 2]},1,1")
    (folder / "made-arrivals.csv").write_text("\n".join(lines) + "\n")
    lines = ["client_id,window_start_s,field,mean," + ",".join(f"q{share}" for share in shares)]
    for one in range(clients - 1):
        for field, scale in (("input_tokens", 100 * (one + 1)), ("output_tokens", 10)):
            lines.append(f"{one},0,{field},{scale}," + ",".join(str(scale + k) for k in range(len(shares))))
    (folder / "made-lengths.csv").write_text("\n".join(lines) + "\n")
    return folder / "made-arrivals.csv"


def test_clients_of_servegen(tmp_path):
    path = servegen(tmp_path)
    assert detect(path) == "servegen"
    w = read_trace(path, 16, seed=1)
    assert len(w) / (4 * 600) == pytest.approx(6.0, rel=0.15)
    assert w.content_hash() == read_trace(path, 16, seed=1).content_hash() != read_trace(path, 16).content_hash()
    for client in range(2):
        prompt = w.requests["prompt_tokens"][w.requests["tenant"] == client]
        assert 100 * (client + 1) <= prompt.min() and prompt.max() <= 100 * (client + 1) + 9
    slower = read_trace(path, 16, rate=1.5, window_s=(600.0, 1800.0))
    assert len(slower) / 1200 == pytest.approx(1.5, rel=0.2)
    assert len(read_trace(path, 16, max_requests=100)) == 100
    (tmp_path / "made-lengths.csv").unlink()
    with pytest.raises(ValueError, match=r"there must be the table of lengths made-lengths\.csv"):
        read_trace(path, 16)


def test_the_real_tables_of_servegen(trace):
    w = read_trace(trace("servegen/deepseek-r1-arrivals.csv.gz"), 16, rate=10.0, window_s=(0.0, 6000.0))
    assert len(w) / 6000 == pytest.approx(10.0, rel=0.15)
    # The mean of its clients' requests in the whole day is 1,268 in and 1,527 out.
    assert 600 < w.requests["prompt_tokens"].mean() < 2500 and 800 < w.requests["output_tokens"].mean() < 2500


def test_the_real_traces_of_azure_and_vidur(trace):
    w = read_trace(trace("azure_llm_2023/AzureLLMInferenceTrace_code.csv.gz"), 16)
    assert len(w) == 8819 and figures(w).rate == pytest.approx(2.57, abs=0.01)
    assert figures(w).dispersion[10] == pytest.approx(72, rel=0.05)
    w = read_trace(trace("arxiv_summarization_vidur/arxiv_summarization_lengths_llama2.csv.gz"), 16, rate=1.0)
    assert len(w) == 28257 and np.median(w.requests["prompt_tokens"]) == 2730
