"""One GRPO step of a model of a few hundred weights, rewarded by the PRM at argv[1]; prints what TRL has logged."""

import json
import sys
import tempfile

from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
from trl import GRPOConfig, GRPOTrainer

from mstar.adapters.trl import PrmReward
from mstar.client import Client, Endpoint

WORDS = ["<pad>", "<end>", "<unk>", "How", "many", "bars", "?", "one", "two", "three"]


def main(prm_url: str) -> None:
    core = Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<unk>"))
    core.pre_tokenizer = Whitespace()
    words = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="<end>", unk_token="<unk>", padding_side="left"
    )
    config = Qwen2Config(
        vocab_size=len(WORDS),
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        pad_token_id=0,
        eos_token_id=1,
    )
    with tempfile.TemporaryDirectory() as folder, Client(Endpoint(prm_url=prm_url)) as client:
        trainer = GRPOTrainer(
            model=Qwen2ForCausalLM(config),
            reward_funcs=[PrmReward(client)],
            processing_class=words,
            train_dataset=Dataset.from_list([{"prompt": "How many bars ?"}] * 4),
            args=GRPOConfig(
                output_dir=folder,
                per_device_train_batch_size=4,
                num_generations=4,
                max_completion_length=4,
                max_steps=1,
                logging_steps=1,
                report_to="none",
                save_strategy="no",
                use_cpu=True,
                bf16=False,
                disable_tqdm=True,
            ),
        )
        trainer.train()
        logged = [entry for entry in trainer.state.log_history if "rewards/prm_reward/mean" in entry]
    print(json.dumps(logged[0]))


main(sys.argv[1])
