import torch

MARK = "(<image>./</image>)"


class MiniCPMVProcessor:
    def __init__(self, image_processor=None, tokenizer=None):
        self.image_processor, self.tokenizer = image_processor, tokenizer

    def __call__(self, text, images, return_tensors="pt"):
        pieces, pixels, sizes = text.split(MARK), [], []
        said = pieces[0]
        for image, after in zip(images, pieces[1:], strict=True):
            slices = self.image_processor.slices(image)
            for one in slices:
                patches, size = self.image_processor.patches(one)
                pixels.append(patches)
                sizes.append(size)
            row = "<image>" + "<unk>" * 4 + "</image>"
            said += row + ("<slice>" + row * (len(slices) - 1) + "</slice>" if len(slices) > 1 else "") + after
        ids = torch.tensor(self.tokenizer(said)["input_ids"])
        first, last = (self.tokenizer.convert_tokens_to_ids(token) for token in ("<image>", "</image>"))
        bounds = torch.stack([torch.where(ids == first)[0] + 1, torch.where(ids == last)[0]], dim=1)
        return {
            "input_ids": ids[None],
            "pixel_values": [pixels],
            "tgt_sizes": [torch.tensor(sizes)],
            "image_bound": [bounds],
        }
