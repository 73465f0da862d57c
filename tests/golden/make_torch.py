"""State dicts as torch.save writes them (PyTorch 1.13), torch_*.pt: read by tests/data/test_pytorch.cpp; and a strided
network with global average pooling, net_cnn_averaged: loss and gradients in double, for tests/kernels/test_cnn_training.cpp."""
import torch, os, collections
os.chdir(os.path.dirname(os.path.abspath(__file__)))
torch.manual_seed(1)
net=lambda: torch.nn.Sequential(torch.nn.Linear(6,4),torch.nn.ReLU(),torch.nn.Linear(4,3))
a=net(); sd=a.state_dict()
torch.save(sd,'torch_state_dict.pt')
torch.save({'epoch':3,'state_dict':sd,'optimizer':torch.optim.Adam(a.parameters()).state_dict(),'loss':0.5,'args':{'lr':1e-3,'name':'x','ok':True,'none':None,'list':[1,2,(3,4)]}},'torch_nested.pt')
torch.save([net().state_dict() for _ in range(3)],'torch_list.pt')
class BN(torch.nn.Module):
    def __init__(s):
        super().__init__(); s.fc1=torch.nn.Linear(6,4); s.bn=torch.nn.BatchNorm1d(4); s.fc2=torch.nn.Linear(4,3)
torch.save(BN().half().state_dict(),'torch_half_bn.pt')
torch.save(collections.OrderedDict((k,v.t() if v.dim()==2 else v) for k,v in sd.items()),'torch_transposed.pt')
torch.save({'a':sd,'b':sd},'torch_two.pt')
torch.save(a,'torch_module.pt')
torch.save(collections.OrderedDict((k,torch.nn.Parameter(v)) for k,v in sd.items()),'torch_parameters.pt')
torch.save({k:v.bfloat16() for k,v in sd.items()},'torch_bf16.pt')
torch.save(sd,'torch_old.pt',_use_new_zipfile_serialization=False)
big=torch.arange(40.).reshape(4,10); torch.save({'0.weight':big[:,2:8],'0.bias':big[:,0],'2.weight':torch.ones(3,4),'2.bias':torch.zeros(3)},'torch_views.pt')

# G.pt's network of CIFAR (Peebles et al., 2022), on bytes as they are scaled: x = byte/128 - 1.
import json, struct
torch.manual_seed(2)
gpt=torch.nn.Sequential(torch.nn.Conv2d(3,16,3,stride=2),torch.nn.ReLU(),torch.nn.Conv2d(16,32,3),torch.nn.ReLU(),torch.nn.AdaptiveAvgPool2d(1),torch.nn.Flatten(),torch.nn.Linear(32,10)).double()
byte=torch.randint(0,256,(5,3,32,32)); label=torch.randint(0,10,(5,))
loss=torch.nn.functional.cross_entropy(gpt(byte.double()/128-1),label); loss.backward()
tensors={'byte':byte.double(),'label':label,'loss':loss.detach().reshape(1),
         'theta':torch.cat([p.detach().reshape(-1) for p in gpt.parameters()]),
         'gradient':torch.cat([p.grad.reshape(-1) for p in gpt.parameters()])}
header,at={},0
for k,v in tensors.items():
    header[k]={'dtype':'I64' if k=='label' else 'F64','shape':list(v.shape),'data_offsets':[at,at+8*v.numel()]}; at+=8*v.numel()
header=json.dumps(header).encode(); header+=b' '*(-len(header)%8)
with open('net_cnn_averaged.safetensors','wb') as f:
    f.write(struct.pack('<Q',len(header))+header+b''.join(v.contiguous().numpy().tobytes() for v in tensors.values()))
